from toy import run


def main(*, zarr_url, init_args, label="x"):
    return {
        "image_list_updates": [
            {"zarr_url": zarr_url, "attributes": {"label": label, "from": init_args["from"]}}
        ]
    }


if __name__ == "__main__":
    run(main)
