"""How the parts are made that `toolbox.services` puts together, where making them is a matter of its own."""
