"""The console: what stewards and security officers do in a browser. No page decides anything: it asks the same flows as the
REST routes, as the person who signed in."""
