"""The way in from the browser: REST to control runs, SSE to watch them, and the dashboard."""
