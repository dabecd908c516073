// Measures a report that stands in a frame, and writes what it finds into the page around it.
const view = document.getElementById("report");
const colours = (text) => (text.match(/[\d.]+/g) || []).map(Number);

function luminance(colour) {
  const linear = colour.slice(0, 3).map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

function contrast(one, other) {
  const [darker, lighter] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

function background(element, style) {
  for (let one = element; one; one = one.parentElement) {
    const found = colours(style(one).backgroundColor);
    if (found.length === 3 || found[3] > 0) return found;
  }
  return [255, 255, 255];
}

function measure() {
  const page = view.contentDocument, style = (one) => view.contentWindow.getComputedStyle(one);
  const texts = [...page.body.querySelectorAll("*")].filter((one) =>
    [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  const pale = texts.map((one) => {
    const drawn = one.namespaceURI.endsWith("svg");
    const colour = colours(drawn ? style(one).fill : style(one).color);
    return [one.textContent.trim().slice(0, 40), contrast(colour, background(one, style))];
  }).filter(([, found]) => found < 4.5);
  const small = texts.map((one) => [one.textContent.trim().slice(0, 40), parseFloat(style(one).fontSize) *
    (one.ownerSVGElement ? one.ownerSVGElement.getScreenCTM().a : 1)]).filter(([, size]) => size < 9);
  const unlit = [...page.querySelectorAll("a, [tabindex='0']")].filter((one) => {
    one.focus();
    return page.activeElement !== one || style(one).outlineStyle === "none";
  }).map((one) => one.outerHTML.slice(0, 80));
  const wide = [...page.querySelectorAll(".scroll")].filter((one) => one.clientWidth > page.documentElement.clientWidth);
  return {
    width: page.documentElement.scrollWidth,
    dark: luminance(colours(style(page.body).backgroundColor)) < 0.2,
    texts: texts.length, pale, small, unlit, wide: wide.length,
    panels: [...page.querySelectorAll(".panel svg")].map((one) => one.getBoundingClientRect().width),
    loaded: view.contentWindow.performance.getEntriesByType("resource").map((one) => one.name),
  };
}

view.addEventListener("load", () => {
  const found = document.createElement("pre");
  found.id = "found";
  try {
    found.textContent = JSON.stringify(measure());
  } catch (error) {
    found.textContent = JSON.stringify({ error: String(error) });
  }
  document.body.replaceChildren(found);
});
