"""One module per step, each with one `run(settings, console)`; `main` alone imports other steps."""
