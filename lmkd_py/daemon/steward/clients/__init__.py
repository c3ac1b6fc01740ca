"""Those who ask or tell the steward something through a socket."""
