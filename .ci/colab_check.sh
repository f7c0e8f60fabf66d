#!/usr/bin/env bash
# Would Colab stay as it is? A fresh virtual environment with Colab's versions, s10 installed
# into it from this checkout as `!pip install git+…` does, and notebook 01 run there in smoke mode.
# Fails if any package that was there before has another version afterwards, or is gone.
# COLAB_VENV=DIR keeps the environment there for the next time; PYTHON names the interpreter.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
venv=${COLAB_VENV:-$work/venv}
python=${PYTHON:-$(command -v python3.13 || command -v python3)}

if [ -n "$(git -C "$top" status --porcelain)" ]; then
    echo "note: what is checked is the last commit, without the changes in this folder"
fi
if [ ! -x "$venv/bin/python" ]; then
    echo "setting up Colab's versions in $venv: a few minutes"
    "$python" -m venv "$venv"
fi
"$venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.11.0 torchvision==0.26.0 numpy==2.1.3 albumentations==2.0.8 matplotlib seaborn \
    torchsummary==1.5.1 ipywidgets==7.7.1 ipykernel nbclient
"$venv/bin/pip" uninstall --quiet --yes s10 2>/dev/null

"$venv/bin/pip" freeze --exclude s10 | sort >"$work/before"
start=$SECONDS
"$venv/bin/pip" install --quiet --disable-pip-version-check "git+file://$top"
echo "installed in $((SECONDS - start)) s with $("$venv/bin/python" --version)"
"$venv/bin/pip" freeze --exclude s10 | sort >"$work/after"
changed=$(comm -23 "$work/before" "$work/after")
if [ -n "$changed" ]; then
    echo "installing s10 replaced what was there before:"
    echo "$changed"
    exit 1
fi
echo "nothing replaced; added:"
comm -13 "$work/before" "$work/after" | sed 's/^/  /'

# From an empty folder, so that the s10 that runs is the installed one.
mkdir "$work/empty"
cp "$top/notebooks/01_lr_range_test.ipynb" "$work/empty/"
cd "$work/empty"
S10_SMOKE=1 "$venv/bin/python" - <<'PY'
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read("01_lr_range_test.ipynb", 4)
NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
ran = sum(cell.cell_type == "code" for cell in notebook.cells)
print(f"notebook 01 ran there in smoke mode: {ran} cells")
PY
