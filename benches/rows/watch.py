"""What `refrain watch` takes to absorb a change of the table and of the policy; see run.sh."""

import json
import os
import subprocess
import sys
import time

refrain, form, store = sys.argv[1:]
watch = subprocess.Popen(
    [refrain, "watch", "rows.toml", "-w", "2", "--json", "--store", store], stdout=subprocess.PIPE, text=True
)


def built():
    for line in watch.stdout:
        event = json.loads(line)
        if event["event"] == "built":
            absorbed = event["seconds"]
        if event["event"] == "done":
            return absorbed, event["stages"]
    sys.exit("watch has ended")


def measure(label, change):
    change()
    saved = time.monotonic()
    absorbed, stages = built()
    wall = time.monotonic() - saved
    rows = " ".join(f"{name} +{s['added']}-{s['retracted']}" for name, s in stages.items())
    print(f"{'watch, ' + label:<34} absorbed {absorbed:7.4f}  published {wall:6.2f}  {rows}")


def table():
    subprocess.run([sys.executable, os.path.join(os.path.dirname(__file__), "make.py"), "change", form], check=True)


def policy(before, after):
    with open("rows.toml") as file:
        text = file.read()
    with open("rows.toml.new", "w") as file:
        file.write(text.replace(before, after))
    os.replace("rows.toml.new", "rows.toml")


absorbed, _ = built()
print(f"{'watch, all rows':<34} absorbed {absorbed:7.4f}")
with open(f"/proc/{watch.pid}/status") as status:
    idle = next(line for line in status if line.startswith("VmHWM"))
for _ in range(3):
    measure("one license changed", table)
measure("a license out of the policy", lambda: policy(', "CC-BY-SA-4.0"]', "]"))
measure("and back", lambda: policy('"CC-BY-3.0"]', '"CC-BY-3.0", "CC-BY-SA-4.0"]'))
with open(f"/proc/{watch.pid}/status") as status:
    peak = next(line for line in status if line.startswith("VmHWM"))
megabytes = [int(line.split()[1]) // 1024 for line in (idle, peak)]
print(f"{'watch, peak memory in MB':<34} after the first build {megabytes[0]}, in the end {megabytes[1]}")
watch.send_signal(2)
watch.wait()
