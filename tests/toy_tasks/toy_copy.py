from toy import run


def main(*, zarr_url, suffix="_copy"):
    new = zarr_url.replace(".zarr", f"{suffix}.zarr")
    return {"image_list_updates": [{"zarr_url": new, "origin": zarr_url}]}


if __name__ == "__main__":
    run(main)
