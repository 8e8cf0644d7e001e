"""The example notebook does what it shows."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_the_notebook_runs_and_shows_its_figures(root):
    """Every cell runs, and the cells that draw end with a picture."""
    import nbformat
    from nbclient import NotebookClient

    path = root / "examples" / "results.ipynb"
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "kept without outputs"

    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": path.parent}}).execute()

    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    drawn = [cell for cell in code if "plot_" in cell.source]
    assert len(drawn) == 6
    for cell in drawn:
        assert any("image/png" in output.get("data", {}) for output in cell.outputs)
    [ran] = [cell for cell in code if "study.run(" in cell.source]
    assert "supported" in ran.outputs[-1]["data"]["text/html"]
    [why] = [cell for cell in code if "study.why(" in cell.source]
    assert "Cause: order test." in why.outputs[-1]["text"]
