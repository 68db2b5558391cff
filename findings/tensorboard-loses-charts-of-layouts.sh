#!/usr/bin/env bash
# TensorBoard's CUSTOM SCALARS tab loses charts where the layouts of several runs are put together.
#
# Versions: tensorboard 2.21.0 with protobuf 7.36.2 and setuptools 80.9.0 (Python 3.11.7, Linux x86-64).
# Expected: runs may each have a layout; the tab shows the categories of all of them, and in a category the charts of
#   all runs that have it. (plugins/custom_scalar/custom_scalars_plugin.py: "Merge their charts, skipping any
#   duplicates.")
# Seen: that holds for the categories of the first layout only. A later category is copied into the merged layout, and
#   the charts of still later runs are added to the original instead of to the copy:
#
#     run   category   chart      shown
#     a     scores     return     yes
#     b     losses     value      yes
#     c     scores     success    yes
#     c     losses     policy     no
#
# Fails if that changes. Needs bash, Python 3.11 or later, and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorboard==2.21.0 protobuf==7.36.2 setuptools==80.9.0

cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import json

from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.custom_scalar import layout_pb2, metadata
from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto

CHARTS = [("a", "scores", "return"), ("b", "losses", "value"), ("c", "scores", "success"), ("c", "losses", "policy")]
for run in "abc":
    categories = [
        layout_pb2.Category(title=category, chart=[layout_pb2.Chart(title=chart)])
        for owner, category, chart in CHARTS
        if owner == run
    ]
    content = layout_pb2.Layout(category=categories).SerializeToString()
    tag, about = metadata.CONFIG_SUMMARY_TAG, metadata.create_summary_metadata()
    value = Summary.Value(tag=tag, metadata=about, tensor=make_tensor_proto(content))
    writer = EventFileWriter(f"runs/{run}")
    writer.add_event(Event(wall_time=1, step=0, summary=Summary(value=[value])))
    writer.close()

runs = EventMultiplexer().AddRunsFromDirectory("runs").Reload()
context = TBContext(data_provider=MultiplexerDataProvider(runs, "runs"), logdir="runs")
merged = json.loads(CustomScalarsPlugin(context).layout_impl(RequestContext(), ""))
shown = {(part["title"], chart["title"]) for part in merged["category"] for chart in part["chart"]}
print("run   category   chart      shown")
for run, category, chart in CHARTS:
    print(f"{run:6}{category:11}{chart:11}{'yes' if (category, chart) in shown else 'no'}")
assert {*((category, chart) for _, category, chart in CHARTS)} - shown == {("losses", "policy")}
print("as described")
PYTHON
