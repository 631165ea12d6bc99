"""debugpy in a worker, from the moment at which somebody attaches."""

from hotfire_worker.wire import Header


def listen() -> Header:
    """Have debugpy listen on a port of its choice; the port, or why it cannot."""
    try:
        import debugpy
    except ImportError:
        return {"event": "debugger", "error": "debugpy is not installed in the project's Python"}
    # What the handler starts is not debugged: each program would want a session of its own.
    debugpy.configure(subProcess=False)
    try:
        _, port = debugpy.listen(("127.0.0.1", 0))
    except RuntimeError as error:
        return {"event": "debugger", "error": str(error)}
    return {"event": "debugger", "port": port}
