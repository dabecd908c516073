"""The verdict on a comparison of two methods: pure functions of their paired accuracies."""
