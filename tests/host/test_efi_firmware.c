/*
 * The UEFI loader against a firmware of our own, which fails where real firmware may.
 */
#include "tests/host/firmware_model.h"

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
