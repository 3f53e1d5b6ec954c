/*
 * A UEFI firmware that fails where real firmware may: short and broken reads, stale keys of the
 * memory map, no memory, odd screens. begin() makes it sound again; end() finds what was not given
 * back.
 */
#pragma once

#include "boot/efi/loader.h"
#include "hv/lib/string.h"
#include "tests/host/test.h"

struct firmware firmware;

static struct refusal why;

/* --- pages --- */

static unsigned page_calls, fail_page_call; /* 0: none */
static long pages_out;
static uint8_t *arena;
static uint64_t arena_at;
enum { ARENA = 8 << 20, MISALIGNED = 3 * PAGE_SIZE };

static EFI_STATUS EFIAPI allocate_pages(EFI_ALLOCATE_TYPE type, EFI_MEMORY_TYPE use, UINTN pages,
					EFI_PHYSICAL_ADDRESS *at)
{
	(void)use;
	CHECK_EQ(type, AllocateMaxAddress);
	if (++page_calls == fail_page_call || arena_at + pages * PAGE_SIZE > ARENA) {
		return EFI_OUT_OF_RESOURCES;
	}
	*at = (EFI_PHYSICAL_ADDRESS)(arena + arena_at);
	arena_at += pages * PAGE_SIZE;
	pages_out += (long)pages;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI free_pages(EFI_PHYSICAL_ADDRESS at, UINTN pages)
{
	CHECK(at >= (uint64_t)arena && at + pages * PAGE_SIZE <= (uint64_t)arena + ARENA);
	CHECK(pages != 0);
	pages_out -= (long)pages;
	return EFI_SUCCESS;
}

/* --- the memory map --- */

static unsigned map_calls, exit_calls, stale_keys;
static UINTN map_size = 480;
static EFI_STATUS map_status;

static EFI_STATUS EFIAPI get_memory_map(UINTN *size, EFI_MEMORY_DESCRIPTOR *map, UINTN *key,
					UINTN *stride, UINT32 *version)
{
	UINTN room = *size;

	map_calls++;
	*size = map_size;
	*stride = 48;
	*version = 1;
	*key = 100 + map_calls;
	if (room < map_size) {
		return EFI_BUFFER_TOO_SMALL;
	}
	if (map) {
		memset(map, 0x5a, map_size);
	}
	return map_status;
}

static EFI_STATUS EFIAPI exit_boot_services(EFI_HANDLE image, UINTN key)
{
	CHECK(image == firmware.self);
	CHECK_EQ(key, 100 + map_calls);
	return ++exit_calls > stale_keys ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
}

/* --- a file system with one file --- */

static struct {
	const char *path;
	uint64_t size, told; /* bytes that there are, and that it says to have */
	uint64_t piece;	     /* most bytes of one read; 0: all */
	uint64_t broken_at;  /* 0: nowhere */
	bool directory;
	EFI_STATUS info;
} disk;
static uint64_t disk_at;
static int open_files;
static EFI_FILE root, file;

static EFI_STATUS EFIAPI file_open(EFI_FILE_HANDLE self, EFI_FILE_HANDLE *new, CHAR16 *name,
				   UINT64 mode, UINT64 attributes)
{
	size_t i = 0;

	(void)attributes;
	CHECK(self == &root);
	CHECK_EQ(mode, EFI_FILE_MODE_READ);
	while (disk.path[i] && disk.path[i] == (char)name[i]) {
		i++;
	}
	if (disk.path[i] || name[i]) {
		return EFI_NOT_FOUND;
	}
	*new = &file;
	disk_at = 0;
	open_files++;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI file_close(EFI_FILE_HANDLE self)
{
	(void)self;
	open_files--;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI file_get_info(EFI_FILE_HANDLE self, EFI_GUID *type, UINTN *size,
				       void *buffer)
{
	EFI_FILE_INFO *info = buffer;

	(void)self, (void)type;
	CHECK(*size >= sizeof(*info));
	memset(info, 0, sizeof(*info));
	info->FileSize = disk.told ? disk.told : disk.size;
	info->Attribute = disk.directory ? EFI_FILE_DIRECTORY : 0;
	return disk.info;
}

static EFI_STATUS EFIAPI file_read(EFI_FILE_HANDLE self, UINTN *size, void *buffer)
{
	uint64_t n = *size, left = disk.size - disk_at;

	(void)self;
	if (disk.broken_at && disk_at >= disk.broken_at) {
		return EFI_DEVICE_ERROR;
	}
	n = n > left ? left : n;
	n = disk.piece && n > disk.piece ? disk.piece : n;
	for (uint64_t i = 0; i < n; i++) {
		((uint8_t *)buffer)[i] = (uint8_t)((disk_at + i) * 7);
	}
	disk_at += n;
	*size = n;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI open_volume(EFI_FILE_IO_INTERFACE *self, EFI_FILE_HANDLE *out)
{
	(void)self;
	*out = &root;
	open_files++;
	return EFI_SUCCESS;
}

static EFI_FILE root = {.Open = file_open, .Close = file_close};
static EFI_FILE file = {.Close = file_close, .Read = file_read, .GetInfo = file_get_info};
static EFI_FILE_IO_INTERFACE volume = {.OpenVolume = open_volume};

static EFI_GRAPHICS_OUTPUT_MODE_INFORMATION graphics_info;
static EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE graphics_mode = {.Info = &graphics_info};
static EFI_GRAPHICS_OUTPUT_PROTOCOL graphics = {.Mode = &graphics_mode};
static int screen_handle;

/* Displays beside the one that the console is on. */
static EFI_GRAPHICS_OUTPUT_PROTOCOL display[3];
static UINTN displays;
static int lists_out;

static EFI_STATUS EFIAPI handle_protocol(EFI_HANDLE handle, EFI_GUID *guid, void **out)
{
	(void)guid;
	*out = handle == &screen_handle ? (void *)&graphics : (void *)&volume;
	for (UINTN i = 0; i < displays; i++) {
		*out = handle == &display[i] ? handle : *out;
	}
	return handle ? EFI_SUCCESS : EFI_UNSUPPORTED;
}

static EFI_STATUS EFIAPI locate_handle_buffer(EFI_LOCATE_SEARCH_TYPE type, EFI_GUID *guid,
					      void *key, UINTN *n, EFI_HANDLE **handles)
{
	static EFI_HANDLE list[ARRAY_SIZE(display)];

	(void)guid, (void)key;
	CHECK_EQ(type, ByProtocol);
	if (!displays) {
		return EFI_NOT_FOUND;
	}
	for (UINTN i = 0; i < displays; i++) {
		list[i] = &display[i];
	}
	*n = displays;
	*handles = list;
	lists_out++;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI free_pool(void *p)
{
	CHECK(p != NULL);
	lists_out--;
	return EFI_SUCCESS;
}

/* --- variables and the screen --- */

static int secure_boot; /* -1: no such variable */

static EFI_STATUS EFIAPI get_variable(CHAR16 *name, EFI_GUID *guid, UINT32 *attributes, UINTN *size,
				      void *data)
{
	(void)name, (void)guid, (void)attributes;
	CHECK_EQ(*size, 1);
	*(uint8_t *)data = (uint8_t)secure_boot;
	return secure_boot < 0 ? EFI_NOT_FOUND : EFI_SUCCESS;
}

static char shown[1024];
static UINTN screen_columns;

static EFI_STATUS EFIAPI output_string(SIMPLE_TEXT_OUTPUT_INTERFACE *self, CHAR16 *text)
{
	size_t n = strlen(shown);

	(void)self;
	for (; *text && n + 1 < sizeof(shown); text++) {
		shown[n++] = (char)*text;
	}
	shown[n] = 0;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI query_mode(SIMPLE_TEXT_OUTPUT_INTERFACE *self, UINTN mode, UINTN *columns,
				    UINTN *rows)
{
	(void)self, (void)mode;
	*columns = screen_columns;
	*rows = 25;
	return screen_columns ? EFI_SUCCESS : EFI_UNSUPPORTED;
}

static SIMPLE_TEXT_OUTPUT_MODE screen_mode;
static SIMPLE_TEXT_OUTPUT_INTERFACE screen = {
	.OutputString = output_string, .QueryMode = query_mode, .Mode = &screen_mode};

static EFI_BOOT_SERVICES boot = {
	.AllocatePages = allocate_pages,
	.FreePages = free_pages,
	.GetMemoryMap = get_memory_map,
	.ExitBootServices = exit_boot_services,
	.HandleProtocol = handle_protocol,
	.LocateHandleBuffer = locate_handle_buffer,
	.FreePool = free_pool,
};
static EFI_RUNTIME_SERVICES runtime = {.GetVariable = get_variable};
static EFI_SYSTEM_TABLE table = {.RuntimeServices = &runtime, .ConOut = &screen};
static EFI_LOADED_IMAGE image = {.DeviceHandle = &disk, .ImageBase = shown, .ImageSize = 16};

static void begin(void)
{
	firmware = (struct firmware){
		.self = &firmware, .table = &table, .boot = &boot, .image = &image};
	memset(&why, 0, sizeof(why));
	memset(&disk, 0, sizeof(disk));
	disk.path = "files\\a";
	page_calls = fail_page_call = map_calls = exit_calls = stale_keys = 0;
	map_size = 480;
	map_status = EFI_SUCCESS;
	secure_boot = -1;
	screen_columns = 100;
	pages_out = 0;
	if (!arena) {
		arena = aligned_alloc(2 << 20, ARENA);
	}
	memset(arena, 0xee, ARENA);
	arena_at = MISALIGNED;
}

static void end(void)
{
	files_close();
	pages_give_back();
	CHECK_EQ(pages_out, 0);
	CHECK_EQ(open_files, 0);
}
