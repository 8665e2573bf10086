"""Forms, editors, browsers and monitors for notebooks, made with ipywidgets."""
