"""Pictures of your own in a notebook."""

from pathlib import Path

from matplotlib import cbook

EXAMPLE = "Minduka_Present_Blue_Pack.png"


def own_pictures(path: str | Path | None = None) -> list[Path]:
    """Your pictures for `s10.predict`: the file or folder `path`, or on Colab an upload button.

    Without a path, and where nothing is uploaded, it is an example, a drawn gift that comes
    with matplotlib. On Colab the cell waits until files are chosen, or the upload is canceled.
    """
    if path:
        return [Path(path)]
    try:
        from google.colab import files
    except ImportError:
        print('an example; for your own pictures: own_pictures("a file or a folder")')
    else:
        if uploaded := files.upload():
            return [Path(name) for name in uploaded]
        print("nothing was uploaded, so this is an example")
    return [Path(cbook.get_sample_data(EXAMPLE, asfileobj=False))]
