"""A server on loopback that speaks the protocols of OpenAI, Anthropic and Gemini, and misbehaves on command."""
