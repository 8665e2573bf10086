from toy import run


def main(*, zarr_urls, zarr_dir):
    print(f"{len(zarr_urls)} images in {zarr_dir}")


if __name__ == "__main__":
    run(main)
