/*
 * The UEFI loader: what its files that call the firmware share. Included in boot/efi/ only.
 *
 * The loader is a UEFI application of its own, not part of the hypervisor: one CPU, in the
 * firmware's address space, until enter() leaves both for good.
 */
#pragma once

#include "boot/boot_info.h"
#include "hv/refuse.h"
#include <efi.h>

/* The firmware, as efi_main got it; set once. */
struct firmware {
	EFI_HANDLE self;
	EFI_SYSTEM_TABLE *table;
	EFI_BOOT_SERVICES *boot; /* NULL: they have been left */
	EFI_LOADED_IMAGE *image;
};
extern struct firmware firmware;

/* Says a line on the firmware's consoles, broken between words where the screen ends. */
void say(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Says a refusal, and waits for a key that is pressed from then on, or for some seconds. */
void say_refusal(const char *text, unsigned seconds);

/* "not found (EFI_NOT_FOUND)", or the status's number. */
struct status_text {
	char text[80];
};
const char *status_words(struct status_text *t, EFI_STATUS status);

/*
 * Pages from the firmware, below `below`, at a multiple of `align` (a power of two), zeroed; NULL:
 * there are none. pages_give_back returns all of them.
 */
enum pages_use { PAGES_FOR_DATA = EfiLoaderData, PAGES_FOR_CODE = EfiLoaderCode };
void *pages_take(uint64_t size, uint64_t align, uint64_t below, enum pages_use use);
void pages_give_back(void);

/* Leaves boot services. The memory map that held then is in *map. */
struct memory_map {
	uint8_t *bytes;
	UINTN room, size, stride;
	UINT32 version;
};
bool leave_prepare(struct memory_map *map, struct refusal *r);
bool leave_firmware(struct memory_map *map, struct refusal *r);

/*
 * Files of the loader's own medium, by paths such as "files/bzImage". What files_read gives lies
 * below 4 GiB at the start of a page, and agrees with the loader's digests where it has some.
 */
enum { FILE_PATH = MAX_FILE + 8 };
struct file {
	char path[FILE_PATH];
	uint8_t *data;
	uint64_t size;
};
bool files_open(struct refusal *r);
void files_close(void);
bool files_find(const char *path, uint64_t *size);
bool files_read(struct file *f, const char *path, uint64_t most, struct refusal *r);
/* May the loader take what nobody signed? Refuses a loader without digests under Secure Boot. */
bool files_check_trust(struct refusal *r);
/* Digests come with the loader: then its files are fixed. */
bool files_fixed(void);

/* What the firmware knows of the machine. */
void machine_framebuffer(struct boot_framebuffer *f);
const uint8_t *machine_rsdp(uint32_t *size); /* NULL: none */

/* enter.asm: position-independent code that is copied to a page below 4 GiB. */
extern const uint8_t enter_code[], enter_code_end[];
