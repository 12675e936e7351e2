"""/admin/toolsets: defined, replaced and deleted as a whole, and refused where it is based on old news."""

from typing import Any

from litestar.testing import AsyncTestClient

REVERSING: dict[str, Any] = {"rules": {"include": [{"name": "text_reverse"}]}, "title": "Reversing"}


async def test_a_toolset_is_defined_replaced_and_deleted(client: AsyncTestClient[Any]) -> None:
    new = {"If-None-Match": "*"}
    created = await client.put("/admin/toolsets/mine", json=REVERSING, headers=new)
    assert (created.status_code, created.json()["first_tools"]) == (201, ["text_reverse"])
    assert (created.json()["endpoint"], created.json()["definition"]["title"]) == ("/toolsets/mine/mcp", "Reversing")
    assert (await client.put("/admin/toolsets/mine", json=REVERSING, headers=new)).status_code == 412
    seen = {"If-Match": created.headers["etag"]}
    wider = REVERSING | {"rules": {"include": [{"category": "text"}], "exclude": [{"name": "text_reverse"}]}}
    changed = await client.put("/admin/toolsets/mine", json=wider, headers=seen)
    assert (changed.status_code, "text_reverse" in changed.json()["first_tools"]) == (200, False)
    assert changed.json()["tools"] > 1
    assert (await client.put("/admin/toolsets/mine", json=REVERSING, headers=seen)).status_code == 412
    assert (await client.delete("/admin/toolsets/mine", headers=seen)).status_code == 412
    assert [one["name"] for one in (await client.get("/admin/toolsets")).json()] == ["mine"]
    exported = (await client.get("/admin/export")).json()
    assert exported["toolsets"]["mine"]["title"] == "Reversing"
    assert "text_reverse" in {tool["name"] for tool in exported["tools"] if tool["source"] == "plugin:text"}
    assert (exported["upstreams"], exported["keys"], exported["policies"]) == ([], [], {})
    assert (await client.put("/admin/toolsets/mine", json={"rules": {"include": []}})).status_code == 400
    assert (await client.delete("/admin/toolsets/mine")).status_code == 204
    assert (await client.get("/admin/toolsets/mine")).status_code == 404
    audited = (await client.get("/admin/audit", params={"subject": "mine"})).json()
    assert [change["action"] for change in audited] == ["toolset.deleted", "toolset.changed", "toolset.created"]
