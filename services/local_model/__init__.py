"""An OpenAI-compatible HTTP server on loopback around a small bundled model: no key, no network."""
