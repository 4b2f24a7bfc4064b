"""Reports as one HTML file each: no other file, no request, light or dark as the reader is."""
