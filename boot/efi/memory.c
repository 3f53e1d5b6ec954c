/*
 * Memory of the firmware: pages for the loader, and the memory map at the moment of leaving.
 *
 * Called by the other files of boot/efi/. The list of pages is ours; when the loader gives up, all
 * go back.
 */
#include "boot/efi/loader.h"
#include "hv/lib/string.h"

enum { PIECES = BOOT_MODULES + 16 };

static struct {
	EFI_PHYSICAL_ADDRESS at;
	UINTN pages;
} piece[PIECES];
static unsigned pieces;

/* Gives back [from, to), which may be empty. */
static void give_back(uint64_t from, uint64_t to)
{
	if (from < to) {
		firmware.boot->FreePages(from, (to - from) >> PAGE_SHIFT);
	}
}

void *memory_take(uint64_t size, uint64_t align, uint64_t below, enum memory_use use)
{
	uint64_t wanted = ALIGN_UP(size, (uint64_t)PAGE_SIZE), slack = align - PAGE_SIZE;
	EFI_PHYSICAL_ADDRESS at = below - 1;
	uint64_t start;

	/* The firmware aligns to pages only: what is too much before and behind goes back. */
	if (!size || size > below || pieces == PIECES ||
	    EFI_ERROR(firmware.boot->AllocatePages(AllocateMaxAddress, (EFI_MEMORY_TYPE)use,
						   (wanted + slack) >> PAGE_SHIFT, &at))) {
		return NULL;
	}
	start = ALIGN_UP(at, align);
	give_back(at, start);
	give_back(start + wanted, at + wanted + slack);
	piece[pieces].at = start;
	piece[pieces].pages = wanted >> PAGE_SHIFT;
	pieces++;
	return memset((void *)start, 0, wanted);
}

void memory_give_back(void)
{
	while (pieces) {
		pieces--;
		firmware.boot->FreePages(piece[pieces].at, piece[pieces].pages);
	}
}

/*
 * Room for the map, with as much again: leaving makes entries, and so may every timer of the
 * firmware until then.
 */
bool memory_map_prepare(struct memory_map *map, struct refusal *r)
{
	UINTN key, none = 0;
	EFI_STATUS status = firmware.boot->GetMemoryMap(&none, NULL, &key, &map->stride,
							&map->version);
	struct status_text words;

	if (status != EFI_BUFFER_TOO_SMALL) {
		return refuse(r, "the firmware's memory map: %s", status_words(&words, status));
	}
	map->room = none * 2 + PAGE_SIZE;
	map->bytes = memory_take(map->room, PAGE_SIZE, GIB(4), MEMORY_FOR_DATA);
	return map->bytes || refuse(r, "no memory below 4 GiB for the firmware's memory map");
}

/*
 * The key of a map is stale as soon as any handler of the firmware allocates, so this may take more
 * than one attempt; after the first, only these two calls are allowed (UEFI specification,
 * "EFI_BOOT_SERVICES.ExitBootServices()").
 */
bool memory_leave_firmware(struct memory_map *map, struct refusal *r)
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
