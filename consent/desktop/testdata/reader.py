"""What a screen reader finds of shadowd's windows, with the library that Orca and accerciser use.

    reader.py tree             prints the window and its parts as JSON, once there is one
    reader.py press NAME       does the action of the button of that name, and prints what came of it
    reader.py grab NAME        asks for the keyboard for it
    reader.py listen SECONDS   prints the events of shadowd's windows, a line each
"""
import json
import sys
import time

import pyatspi


def window():
    deadline = time.time() + 170
    while time.time() < deadline:
        for app in pyatspi.Registry.getDesktop(0):
            try:
                if app is not None and app.name == "shadowd" and app.childCount:
                    return app[0]
            except Exception:  # it has just gone
                pass
        time.sleep(0.05)
    sys.exit("no window of shadowd's is on the accessibility bus")


def told(part):
    where = part.queryComponent().getExtents(pyatspi.DESKTOP_COORDS)
    says = {
        "role": part.getRoleName(),
        "name": part.name,
        "description": part.description,
        "states": [pyatspi.stateToString(s) for s in part.getState().getStates()],
        "at": [where.x, where.y, where.width, where.height],
    }
    if "Action" in pyatspi.listInterfaces(part):
        action = part.queryAction()
        says["actions"] = [action.getName(i) for i in range(action.nActions)]
    return says


def named(name):
    for part in window():
        if part.name == name:
            return part
    sys.exit("no part is called " + name)


def listen(seconds):
    def heard(event):
        try:
            if event.host_application is None or event.host_application.name != "shadowd":
                return
            print(event.type, "|", event.source.name, "|", event.detail1, flush=True)
        except Exception:  # it has gone
            pass

    kinds = ("object:state-changed:focused", "object:state-changed:active", "object:state-changed:showing",
             "object:property-change:accessible-name", "object:children-changed", "window:activate", "window:create", "focus:")
    for kind in kinds:
        pyatspi.Registry.registerEventListener(heard, kind)
    print("listening", flush=True)
    from gi.repository import GLib
    GLib.timeout_add_seconds(seconds, pyatspi.Registry.stop)
    pyatspi.Registry.start()


if sys.argv[1] == "tree":
    top = window()
    print(json.dumps(dict(told(top), children=[told(part) for part in top], application=top.getApplication().toolkitName)))
elif sys.argv[1] == "press":
    try:
        print(named(sys.argv[2]).queryAction().doAction(0))
    except Exception as e:  # a window that goes because of it may be gone before its reply is out
        if "disconnected from message bus without replying" not in str(e):
            raise
        print(True)
elif sys.argv[1] == "grab":
    print(named(sys.argv[2]).queryComponent().grabFocus())
else:
    listen(int(sys.argv[2]))
