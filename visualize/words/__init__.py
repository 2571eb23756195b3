"""Words for people, shared by pictures, the page and the command. Pure."""
