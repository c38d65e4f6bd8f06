"""What Grafana would ask of a dashboard's JSON, and what is wrong with it."""
import json
import re


def faults(path, known):
    """Sentences about the dashboard in `path`: it may use only the metrics `known`, and has to use all.

    A histogram is known by its own name; queries use NAME_bucket, NAME_sum and NAME_count.
    """
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    panels = dashboard["panels"]
    variables = {one["name"] for one in dashboard["templating"]["list"]}
    used, found = set(), []
    numbers = [panel["id"] for panel in panels]
    if len(set(numbers)) != len(numbers):
        found.append("two panels have one id")
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        if cells & taken or place["x"] + place["w"] > 24:
            found.append(f"{panel['title']} stands on another panel, or beside the page")
        taken |= cells
        if panel["type"] != "row" and not panel.get("targets"):
            found.append(f"{panel['title']} shows nothing")
        for target in panel.get("targets", []):
            query = target["expr"]
            used |= {re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"espalier_\w+", query)}
            if query.count("(") != query.count(")") or query.count("{") != query.count("}"):
                found.append(f"{panel['title']}: {query} is no query")
            # rate() of what may fall, and a bare counter, which only grows, say nothing.
            for name in re.findall(r"(espalier_\w+)", query):
                is_counter = name.endswith("_total") or re.search(r"_(bucket|sum|count)$", name)
                if bool(is_counter) != bool(re.search(rf"(rate|increase)\({name}", query)):
                    found.append(f"{panel['title']}: {name} wants rate() exactly if it only grows")
    for name in set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard))) - variables - {"__all"}:
        found.append(f"there is no variable {name}")
    found += [f"no program serves {name}" for name in sorted(used - known)]
    return found + [f"{name} is not shown" for name in sorted(known - used)]
