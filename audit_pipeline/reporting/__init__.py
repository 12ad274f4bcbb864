"""From a lake to a report: sealed rows read, controls judged, findings kept, files written."""
