"""Whoever waits for a response, by whatever protocol, and may leave before it comes. Pure."""

from collections.abc import Callable

Cancel = Callable[[], None]
"""Ends the work of a request that nobody waits for any more; does nothing when it's done already."""


class Caller:
    """Belongs to the event loop's thread; its flags may be looked at in any."""

    __slots__ = ("_cancels", "has_left", "waits")

    def __init__(self) -> None:
        """Still there."""
        self.has_left = False
        self.waits = False
        """For a thread's own sake: it has asked for something and has no answer yet."""
        self._cancels: list[Cancel] | None = None

    def when_left(self, cancel: Cancel | None) -> None:
        """`cancel` is called once it leaves. None: there is nothing to cancel."""
        if cancel is None:
            return
        if self._cancels is None:
            self._cancels = [cancel]
        else:
            self._cancels.append(cancel)

    def answered(self) -> None:
        """It waits for nothing now, but may ask again."""
        self.waits, self._cancels = False, None

    def leave(self) -> None:
        """Its connection is gone, or it has cancelled its call."""
        self.has_left = True
        cancels, self._cancels = self._cancels, None
        for cancel in cancels or ():
            cancel()
