/*
 * Leaving the firmware's boot services, with the memory map that holds at that moment. Called by
 * main.c once; no state.
 */
#include "boot/efi/loader.h"

/*
 * Room for the map, with as much again: leaving makes entries, and so may every timer of the
 * firmware until then.
 */
bool leave_prepare(struct memory_map *map, struct refusal *r)
{
	UINTN key, none = 0;
	EFI_STATUS status = firmware.boot->GetMemoryMap(&none, NULL, &key, &map->stride,
							&map->version);
	struct status_text words;

	if (status != EFI_BUFFER_TOO_SMALL) {
		return refuse(r, "the firmware's memory map: %s", status_words(&words, status));
	}
	map->room = none * 2 + PAGE_SIZE;
	map->bytes = pages_take(map->room, PAGE_SIZE, GIB(4), PAGES_FOR_DATA);
	return map->bytes || refuse(r, "no memory below 4 GiB for the firmware's memory map");
}

/*
 * The key of a map is stale as soon as any handler of the firmware allocates, so this may take more
 * than one attempt; after the first, only these two calls are allowed (UEFI specification,
 * "EFI_BOOT_SERVICES.ExitBootServices()").
 */
bool leave_firmware(struct memory_map *map, struct refusal *r)
{
	enum { ATTEMPTS = 8 };
	EFI_STATUS status = EFI_SUCCESS;
	struct status_text words;

	for (unsigned i = 0; i < ATTEMPTS; i++) {
		UINTN key;

		map->size = map->room;
		status = firmware.boot->GetMemoryMap(&map->size,
						     (EFI_MEMORY_DESCRIPTOR *)map->bytes, &key,
						     &map->stride, &map->version);
		if (EFI_ERROR(status)) {
			return refuse(r, "the firmware's memory map: %s",
				      status_words(&words, status));
		}
		status = firmware.boot->ExitBootServices(firmware.self, key);
		if (!EFI_ERROR(status)) {
			firmware.boot = NULL;
			return true;
		}
	}
	return refuse(r, "the firmware does not let go (ExitBootServices): %s",
		      status_words(&words, status));
}
