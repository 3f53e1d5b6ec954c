/*
 * Pages of the firmware's memory. Called by the other files of boot/efi/. The list of what was
 * taken is here; when the loader gives up, all goes back.
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

void *pages_take(uint64_t size, uint64_t align, uint64_t below, enum pages_use use)
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

void pages_give_back(void)
{
	while (pieces) {
		pieces--;
		firmware.boot->FreePages(piece[pieces].at, piece[pieces].pages);
	}
}
