from toy import run


def main(*, zarr_urls, zarr_dir, skip=0):
    items = [{"zarr_url": url, "init_args": {"from": zarr_dir}} for url in zarr_urls[skip:]]
    return {"parallelization_list": items}


if __name__ == "__main__":
    run(main)
