#!/usr/bin/env bash
# Check that installing s10 leaves Colab's packages alone.
#
#     tools/colab_check.sh
#
# Creates a fresh virtual environment with Colab's versions, installs the last commit of this
# repository into it as `!pip install git+…` does, and runs notebook 01 there in smoke mode.
# Fails if a package that was there before has another version afterwards, or is gone, or if a
# cell of the notebook fails. COLAB_VENV=DIR keeps the environment in DIR for the next time;
# PYTHON names the interpreter. The first time downloads several GB.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
venv=${COLAB_VENV:-$work/venv}
# The name alone proves nothing: pyenv has a python3.13 that fails where no 3.13 is selected.
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python3
    if python3.13 --version >/dev/null 2>&1; then PYTHON=python3.13; fi
fi
pip_install=("$venv/bin/pip" install --quiet --disable-pip-version-check)

if [ -n "$(git -C "$root" status --porcelain)" ]; then
    echo "note: this checks the last commit, without the uncommitted changes"
fi
if [ ! -x "$venv/bin/python" ]; then
    echo "installing Colab's versions in $venv (a few minutes)"
    "$PYTHON" -m venv "$venv"
fi
"${pip_install[@]}" torch==2.11.0 torchvision==0.26.0 numpy==2.1.3 albumentations==2.0.8 \
    matplotlib seaborn torchsummary==1.5.1 ipywidgets==7.7.1 ipykernel nbclient
"$venv/bin/pip" uninstall --quiet --yes s10 2>/dev/null

"$venv/bin/pip" freeze --exclude s10 | sort >"$work/before"
start=$SECONDS
"${pip_install[@]}" "git+file://$root"
echo "installed s10 in $((SECONDS - start)) s with $("$venv/bin/python" --version)"
"$venv/bin/pip" freeze --exclude s10 | sort >"$work/after"
changed=$(comm -23 "$work/before" "$work/after")
if [ -n "$changed" ]; then
    echo "installing s10 replaced or removed:"
    echo "$changed"
    exit 1
fi
echo "nothing replaced; added:"
comm -13 "$work/before" "$work/after" | sed 's/^/  /'

# In an empty folder, so that the installed s10 runs and not the one in this checkout. The
# notebook is that of the same commit.
mkdir "$work/empty"
cd "$work/empty"
git -C "$root" show HEAD:notebooks/01_lr_range_test.ipynb >01_lr_range_test.ipynb
S10_SMOKE=1 "$venv/bin/python" - <<'PY'
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read("01_lr_range_test.ipynb", 4)
NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
count = sum(cell.cell_type == "code" for cell in notebook.cells)
print(f"notebook 01 ran in smoke mode: {count} cells")
PY
