"""Pictures of networks and of finished tests: filters, predictions, classes, curves, costs."""
