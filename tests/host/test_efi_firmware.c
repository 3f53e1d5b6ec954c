/*
 * The UEFI loader against a firmware of our own, which fails where real firmware may: short and
 * broken reads, stale keys of the memory map, no memory, odd screens.
 */
#include "boot/efi/loader.h"
#include "hv/lib/string.h"
#include "tests/host/test.h"

struct firmware firmware;

static struct refusal why;

/* --- the firmware: pages --- */

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

/* --- memory --- */

TEST(pages_aligned)
{
	uint8_t *p;

	begin();
	p = pages_take(5 * PAGE_SIZE - 1, PAGE_2M, GIB(2), PAGES_FOR_CODE);
	CHECK_EQ((uint64_t)p & (PAGE_2M - 1), 0);
	CHECK_EQ(pages_out, 5);
	for (unsigned i = 0; i < 5 * PAGE_SIZE; i++) {
		CHECK(!p[i]);
	}
	p = pages_take(1, PAGE_SIZE, GIB(4), PAGES_FOR_DATA);
	CHECK(p && !*p);
	CHECK_EQ(pages_out, 6);
	end();
}

TEST(pages_refused)
{
	begin();
	fail_page_call = 1;
	CHECK(!pages_take(1, PAGE_SIZE, GIB(4), PAGES_FOR_DATA));
	CHECK(!pages_take(0, PAGE_SIZE, GIB(4), PAGES_FOR_DATA));
	CHECK(!pages_take(GIB(4) + 1, PAGE_SIZE, GIB(4), PAGES_FOR_DATA));
	for (unsigned i = 0; i < BOOT_MODULES + 16; i++) {
		CHECK(pages_take(1, PAGE_SIZE, GIB(4), PAGES_FOR_DATA));
	}
	CHECK(!pages_take(1, PAGE_SIZE, GIB(4), PAGES_FOR_DATA));
	end();
}

/* --- leaving --- */

static struct memory_map map;

TEST(stale_keys)
{
	begin();
	map_size = 9600;
	CHECK(leave_prepare(&map, &why));
	stale_keys = 3;
	map_size = 2 * 9600; /* it has grown since */
	CHECK(leave_firmware(&map, &why));
	CHECK_EQ(exit_calls, 4);
	CHECK_EQ(map.size, 2 * 9600);
	CHECK_EQ(map.stride, 48);
	CHECK_EQ(map.bytes[2 * 9600 - 1], 0x5a);
	CHECK(!firmware.boot);
	firmware.boot = &boot;
	end();
}

TEST(firmware_that_does_not_let_go)
{
	begin();
	CHECK(leave_prepare(&map, &why));
	stale_keys = 1000;
	CHECK(!leave_firmware(&map, &why));
	CHECK_STR(why.text,
		  "the firmware does not let go (ExitBootServices): the firmware takes no "
		  "such name or argument (EFI_INVALID_PARAMETER)");
	CHECK_EQ(exit_calls, 8);
	CHECK(firmware.boot);
	end();
}

TEST(memory_map_refused)
{
	begin();
	map_size = 0;
	CHECK(!leave_prepare(&map, &why));
	begin();
	CHECK(leave_prepare(&map, &why));
	map_status = EFI_DEVICE_ERROR;
	CHECK(!leave_firmware(&map, &why));
	CHECK_STR(why.text, "the firmware's memory map: the device reports an error "
			    "(EFI_DEVICE_ERROR)");
	CHECK_EQ(exit_calls, 0);
	end();
	begin();
	fail_page_call = 1;
	CHECK(!leave_prepare(&map, &why));
	CHECK_STR(why.text, "no memory below 4 GiB for the firmware's memory map");
	end();
}

/* --- files --- */

static struct file f;

static const char *read_file(uint64_t most)
{
	CHECK(files_open(&why));
	if (!files_read(&f, "files/a", most, &why)) {
		CHECK(why.text[0]);
	}
	return why.text;
}

TEST(file_in_pieces)
{
	begin();
	disk.size = 3000000;
	disk.piece = 65537;
	CHECK_STR(read_file(MIB(4)), "");
	CHECK_EQ(f.size, 3000000);
	CHECK_STR(f.path, "files/a");
	for (uint32_t i = 0; i < f.size; i += 997) {
		CHECK_EQ(f.data[i], (uint8_t)(i * 7));
	}
	CHECK_EQ((uint64_t)f.data & PAGE_MASK, 0);
	end();
}

TEST(file_sizes)
{
	begin();
	disk.size = 100;
	CHECK_STR(read_file(100), "");
	end();
	begin();
	disk.size = 101;
	CHECK_STR(read_file(100), "files/a: has 101 bytes; at most 100 can be loaded");
	CHECK_EQ(pages_out, 0);
	end();
	begin();
	CHECK_STR(read_file(100), "files/a: is empty; copy it again");
	end();
	begin();
	disk.size = 1000;
	disk.told = 1500;
	CHECK_STR(read_file(5000), "files/a: ends after 1000 of its 1500 bytes; copy it again");
	end();
}

TEST(file_errors)
{
	begin();
	disk.path = "b";
	CHECK_STR(read_file(100), "files/a: not found (EFI_NOT_FOUND); put it on the medium that "
				  "this loader is on");
	end();
	begin();
	disk.size = 1000;
	disk.piece = 10;
	disk.broken_at = 500;
	CHECK_STR(read_file(5000), "files/a: the device reports an error (EFI_DEVICE_ERROR); the "
				   "medium may be worn out");
	end();
	begin();
	disk.directory = true;
	CHECK_STR(read_file(5000), "files/a: is a directory; a file must have that name");
	end();
	begin();
	disk.info = EFI_VOLUME_CORRUPTED;
	CHECK_STR(read_file(5000), "files/a: the file system is damaged (EFI_VOLUME_CORRUPTED)");
	end();
	begin();
	disk.info = 0x8000000000000077;
	CHECK_STR(read_file(5000), "files/a: firmware status 0x8000000000000077");
	end();
	begin();
	disk.size = MIB(3);
	fail_page_call = 1;
	CHECK_STR(read_file(MIB(4)), "files/a: no 3 MiB of memory below 4 GiB are left for it");
	end();
}

TEST(file_found)
{
	uint64_t size = 0;

	begin();
	disk.size = 77;
	CHECK(files_open(&why));
	CHECK(files_find("files/a", &size));
	CHECK_EQ(size, 77);
	CHECK(!files_find("files/b", &size));
	disk.directory = true;
	CHECK(!files_find("files/a", &size));
	end();
}

TEST(no_file_system)
{
	begin();
	image.DeviceHandle = NULL;
	CHECK(!files_open(&why));
	CHECK(strstr(why.text, "the loader was not started from a file system") != NULL);
	image.DeviceHandle = &disk;
	end();
}

TEST(trust)
{
	begin();
	CHECK(files_check_trust(&why));
	secure_boot = 0;
	CHECK(files_check_trust(&why));
	secure_boot = 1;
	CHECK(!files_check_trust(&why));
	CHECK(strncmp(why.text, "Secure Boot is on", 17) == 0);
	end();
}

/* --- the machine --- */

static struct boot_framebuffer fb;

static void show(EFI_GRAPHICS_PIXEL_FORMAT format, uint32_t red, uint32_t green, uint32_t blue)
{
	begin();
	table.ConsoleOutHandle = &screen_handle;
	graphics_info = (EFI_GRAPHICS_OUTPUT_MODE_INFORMATION){
		.HorizontalResolution = 1366,
		.VerticalResolution = 768,
		.PixelsPerScanLine = 1376,
		.PixelFormat = format,
		.PixelInformation = {red, green, blue, 0}};
	graphics_mode.FrameBufferBase = 0x4000000000;
	machine_framebuffer(&fb);
}

static void check_pixel(unsigned bpp, unsigned red, unsigned green, unsigned blue)
{
	CHECK(fb.present);
	CHECK_EQ(fb.base.v, 0x4000000000);
	CHECK_EQ(fb.width, 1366);
	CHECK_EQ(fb.height, 768);
	CHECK_EQ(fb.bpp, bpp);
	CHECK_EQ(fb.pitch, 1376 * bpp / 8);
	CHECK_EQ(fb.type, 1);
	CHECK_EQ(fb.red_pos, red);
	CHECK_EQ(fb.green_pos, green);
	CHECK_EQ(fb.blue_pos, blue);
}

TEST(framebuffer_formats)
{
	show(PixelRedGreenBlueReserved8BitPerColor, 0, 0, 0);
	check_pixel(32, 0, 8, 16);
	show(PixelBlueGreenRedReserved8BitPerColor, 0, 0, 0);
	check_pixel(32, 16, 8, 0);
	CHECK_EQ(fb.red_size, 8);
	show(PixelBitMask, 0xf800, 0x7e0, 0x1f);
	check_pixel(16, 11, 5, 0);
	CHECK_EQ(fb.red_size, 5);
	CHECK_EQ(fb.green_size, 6);
	CHECK_EQ(fb.blue_size, 5);
	show(PixelBitMask, 0xff0000, 0xff00, 0xff);
	check_pixel(24, 16, 8, 0);
}

TEST(no_framebuffer)
{
	show(PixelBltOnly, 0, 0, 0);
	CHECK(!fb.present);
	show(PixelBitMask, 0, 0, 0);
	CHECK(!fb.present);
	graphics_mode.FrameBufferBase = 0;
	machine_framebuffer(&fb);
	CHECK(!fb.present);
	table.ConsoleOutHandle = NULL;
	machine_framebuffer(&fb);
	CHECK(!fb.present);
}

/* The console's handle draws on all displays and has no framebuffer; a display has. */
TEST(several_displays)
{
	EFI_GRAPHICS_OUTPUT_MODE_INFORMATION info = {
		.HorizontalResolution = 800, .VerticalResolution = 600, .PixelsPerScanLine = 800};
	EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE mode = {.Info = &info, .FrameBufferBase = 0xc0000000};

	display[0].Mode = &graphics_mode;
	display[1].Mode = NULL;
	display[2].Mode = &mode;
	displays = 3;
	show(PixelBltOnly, 0, 0, 0);
	CHECK(fb.present);
	CHECK_EQ(fb.base.v, 0xc0000000);
	CHECK_EQ(fb.width, 800);
	show(PixelRedGreenBlueReserved8BitPerColor, 0, 0, 0);
	check_pixel(32, 0, 8, 16); /* the console's is preferred */
	displays = 2;
	show(PixelBltOnly, 0, 0, 0);
	CHECK(!fb.present);
	table.ConsoleOutHandle = NULL;
	displays = 3;
	machine_framebuffer(&fb);
	CHECK_EQ(fb.base.v, 0xc0000000);
	displays = 0;
	CHECK_EQ(lists_out, 0);
}

TEST(tables)
{
	static uint8_t rsdp20[36], rsdp10[20];
	EFI_CONFIGURATION_TABLE entries[] = {{ACPI_TABLE_GUID, rsdp10},
					     {ACPI_20_TABLE_GUID, rsdp20}};
	uint32_t size;

	begin();
	table.ConfigurationTable = entries;
	table.NumberOfTableEntries = 2;
	CHECK(machine_rsdp(&size) == rsdp20);
	CHECK_EQ(size, 36);
	table.NumberOfTableEntries = 1;
	CHECK(machine_rsdp(&size) == rsdp10);
	CHECK_EQ(size, 20);
	table.NumberOfTableEntries = 0;
	CHECK(!machine_rsdp(&size));
}

/* --- words --- */

static const char *said(UINTN columns, const char *text)
{
	begin();
	shown[0] = 0;
	screen_columns = columns;
	say("%s", text);
	return shown;
}

TEST(lines)
{
	CHECK_STR(said(100, ""), "\r\n");
	CHECK_STR(said(100, "one line"), "one line\r\n");
	CHECK_STR(said(21, "12345678901234567890"), "12345678901234567890\r\n");
	CHECK_STR(said(21, "one two three four five six"), "one two three four\r\nfive six\r\n");
	CHECK_STR(said(21, "1234567890123456789012345"), "12345678901234567890\r\n12345\r\n");
	CHECK_STR(said(21, "a\xc3\xa4z"), "a??z\r\n");
	CHECK_STR(said(0, "a screen that does not tell its size"),
		  "a screen that does not tell its size\r\n");
}
