"""`placestream drift`: what was served lately against what the models were trained on."""
