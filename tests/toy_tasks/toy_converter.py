from toy import run


def main(*, zarr_dir, count):
    return {
        "image_list_updates": [
            {"zarr_url": f"{zarr_dir}/{i}.zarr", "attributes": {"number": i}} for i in range(count)
        ]
    }


if __name__ == "__main__":
    run(main)
