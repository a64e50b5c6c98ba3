"""The local web page: sort photos, try the model, review its errors, look at the runs."""
