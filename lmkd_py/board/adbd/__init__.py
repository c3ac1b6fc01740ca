"""The ADB endpoint of a virtual device: what `adb` and the host tool talk to where there is no phone.

Standard library only and Python 3.9, since it also runs inside a guest. It serves one directory as the device's root;
where this machine allows it, commands run in a mount namespace of that root (`space`). Loopback only.

    packet -> connection -> stream -> services (shell, sync, forward, power)      device holds what they act upon
"""
