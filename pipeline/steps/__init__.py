"""One module a step, each with one `run(settings, console)`; no step imports another, but `main`."""
