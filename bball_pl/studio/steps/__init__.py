"""Steps, the view that takes photos from a folder to a phone file: uploads, commands run as jobs, and their state."""
