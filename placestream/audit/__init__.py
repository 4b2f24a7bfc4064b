"""`placestream audit`: what one audit id stands for, from the trigger to the end."""
