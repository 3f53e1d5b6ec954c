/*
 * The pixels of a framebuffer, and what the loader may say of one.
 */
#include "boot/screen.h"
#include "hv/console/font.h"
#include "hv/pci.h"
#include "test.h"
#include "tests/fake/fake_host.h"

/* --- pixels --- */

static uint8_t *picture;
static struct framebuffer_mode mode;

static void picture_begin(unsigned width, unsigned height, unsigned bytes, unsigned pitch)
{
	free(picture);
	/* Exactly as long as the last line needs: ASan sees what goes beyond. */
	picture = malloc((size_t)pitch * (height - 1) + width * bytes);
	memset(picture, 0xee, (size_t)pitch * (height - 1) + width * bytes);
	mode = (struct framebuffer_mode){
		.pitch = pitch, .width = width, .height = height, .bytes = (uint8_t)bytes};
	if (bytes == 2) {
		mode.red_pos = 11, mode.red_size = 5, mode.green_pos = 5, mode.green_size = 6;
		mode.blue_size = 5;
	} else {
		mode.red_pos = 16, mode.red_size = 8, mode.green_pos = 8, mode.green_size = 8;
		mode.blue_size = 8;
	}
	framebuffer_init(&mode, picture);
}

static uint32_t pixel(unsigned x, unsigned y)
{
	uint32_t v = 0;

	memcpy(&v, picture + (size_t)y * mode.pitch + x * mode.bytes, mode.bytes);
	return v;
}

static void check_pixels(unsigned bytes, unsigned scale, uint32_t white, uint32_t red)
{
	static const struct screen_cell cells[] = {{'A', SCREEN_ATTR(SCREEN_WHITE, SCREEN_RED)},
						   {'g', SCREEN_ATTR(SCREEN_WHITE, SCREEN_BLACK)},
						   {0x9f, SCREEN_ATTR(SCREEN_WHITE, SCREEN_BLACK)}};
	unsigned width = scale == 1 ? 323 : 2563, height = scale == 1 ? 165 : 1605;
	unsigned cols, rows;

	picture_begin(width, height, bytes, width * bytes + 5);
	framebuffer_size(&cols, &rows);
	CHECK_EQ(cols, width / 8 / scale);
	CHECK_EQ(rows, height / 16 / scale);
	framebuffer_draw(cols - 3, rows - 1, cells, 3);
	for (unsigned i = 0; i < 3; i++) {
		const uint8_t *glyph =
			font[i == 2 ? FONT_OTHER - FONT_FIRST : cells[i].ch - FONT_FIRST];
		unsigned x0 = (cols - 3 + i) * 8 * scale, y0 = (rows - 1) * 16 * scale;

		for (unsigned y = 0; y < 16 * scale; y++) {
			for (unsigned x = 0; x < 8 * scale; x++) {
				uint32_t ink = glyph[y / scale] >> (7 - x / scale) & 1;

				if (pixel(x0 + x, y0 + y) != (ink ? white : i ? 0 : red)) {
					CHECK_EQ(pixel(x0 + x, y0 + y), ink ? white : i ? 0 : red);
					return;
				}
			}
		}
	}
	CHECK_EQ(picture[(size_t)(rows * 16 * scale - 1) * mode.pitch +
			 ((cols - 3) * 8 * scale) * bytes - 1],
		 0xee);
	CHECK_EQ(picture[(size_t)(rows * 16 * scale - 1) * mode.pitch + cols * 8 * scale * bytes],
		 0xee);
}

TEST(pixels_of_16_24_and_32_bits)
{
	check_pixels(2, 1, 0xffff, 23 << 11 | 12 << 5 | 6);
	check_pixels(3, 1, 0xffffff, 185 << 16 | 50 << 8 | 50);
	check_pixels(4, 1, 0xffffff, 185 << 16 | 50 << 8 | 50);
	check_pixels(2, 2, 0xffff, 23 << 11 | 12 << 5 | 6);
	check_pixels(3, 2, 0xffffff, 185 << 16 | 50 << 8 | 50);
	check_pixels(4, 2, 0xffffff, 185 << 16 | 50 << 8 | 50);
}

TEST(glyphs_differ)
{
	for (unsigned i = 0; i < FONT_GLYPHS; i++) {
		for (unsigned n = 0; n < i; n++) {
			CHECK(memcmp(font[i], font[n], FONT_HEIGHT) != 0);
		}
	}
}

/* --- what the loader says --- */

static struct boot_info boot;
static struct refusal why;

static bool check(void)
{
	struct framebuffer_mode m;

	why.text[0] = 0;
	return screen_check(&boot, &m, &why);
}

static struct boot_framebuffer *loader_says(void)
{
	memset(&boot, 0, sizeof(boot));
	boot.memory[0] = (struct boot_memory){0x100000, 0x7ff00000, MEMORY_RAM};
	boot.memory[1] = (struct boot_memory){0xfd000000, 0x1000000, MEMORY_RESERVED};
	boot.memory[2] = (struct boot_memory){0x100000000, 0x80000000, MEMORY_RAM};
	boot.memories = 3;
	boot.framebuffer = (struct boot_framebuffer){.base = hpa(0xfd000000),
						     .pitch = 4096,
						     .width = 1024,
						     .height = 768,
						     .bpp = 32,
						     .type = 1,
						     .red_pos = 16,
						     .red_size = 8,
						     .green_pos = 8,
						     .green_size = 8,
						     .blue_size = 8,
						     .present = true};
	return &boot.framebuffer;
}

static struct boot_framebuffer *loader_says_text(void)
{
	struct boot_framebuffer *f = loader_says();

	*f = (struct boot_framebuffer){.base = hpa(0xb8000),
				       .pitch = 160,
				       .width = 80,
				       .height = 25,
				       .bpp = 16,
				       .type = 2,
				       .present = true};
	return f;
}

TEST(good_screens_are_taken)
{
	struct boot_framebuffer *f = loader_says();

	CHECK(check());
	f->bpp = 24;
	f->pitch = 3072;
	CHECK(check());
	f->base = hpa(0x4000000000);
	CHECK(check());
	f = loader_says();
	f->bpp = 15, f->pitch = 2048, f->red_pos = 10, f->green_pos = 5;
	f->red_size = f->green_size = f->blue_size = 5;
	CHECK(check());
	loader_says_text();
	CHECK(check());
}

#define REFUSED(words, change)                                                                     \
	do {                                                                                       \
		struct boot_framebuffer *f = loader_says();                                        \
		change;                                                                            \
		CHECK(!check());                                                                   \
		CHECK_STR(why.text, words);                                                        \
	} while (0)

TEST(bad_screens_are_refused)
{
	REFUSED("its address 0x0 cannot be", f->base = hpa(0));
	REFUSED("its address 0xfffffffffffff000 cannot be", f->base = hpa(0xfffffffffffff000));
	REFUSED("its address 0xffffffffff000 cannot be", f->base = hpa(0xffffffffff000));
	REFUSED("its address 0x8000000000 cannot be", f->base = hpa(0x8000000000));
	REFUSED("its address 0x7ffffff000 cannot be", f->base = hpa(0x7ffffff000));
	REFUSED("0x7ff00000-0x801fffff meets RAM", f->base = hpa(0x7ff00000));
	REFUSED("0xfff00000-0x1001fffff meets RAM", f->base = hpa(0xfff00000));
	REFUSED("4095 bytes a line for 1024 pixels of 4", f->pitch = 4095);
	REFUSED("0 bytes a line for 1024 pixels of 4", f->pitch = 0);
	REFUSED("4294967295 bytes a line for 1024 pixels of 4", f->pitch = UINT32_MAX);
	REFUSED("4294967295 x 768 pixels", f->width = UINT32_MAX);
	REFUSED("1024 x 4294967295 pixels", f->height = UINT32_MAX);
	REFUSED("1024 x 0 pixels", f->height = 0);
	REFUSED("8 bits per pixel", f->bpp = 8);
	REFUSED("64 bits per pixel", f->bpp = 64);
	REFUSED("colours that do not fit 32 bits per pixel", f->red_pos = 25);
	REFUSED("colours that do not fit 32 bits per pixel", f->blue_size = 0);
	REFUSED("colours that do not fit 32 bits per pixel", f->green_pos = 255);
	REFUSED("it has indexed colours", f->type = 0);
	REFUSED("it is of type 77", f->type = 77);
	REFUSED("text at address 0x100000", f = loader_says_text(); f->base = hpa(0x100000));
	REFUSED("text at address 0xbff00", f = loader_says_text(); f->base = hpa(0xbff00));
	REFUSED("text mode of 80 x 25 characters, 158 bytes a line", f = loader_says_text();
		f->pitch = 158);
	REFUSED("text mode of 0 x 25 characters, 160 bytes a line", f = loader_says_text();
		f->width = 0);
	REFUSED("text mode of 80 x 1000 characters, 160 bytes a line", f = loader_says_text();
		f->height = 1000);
}

static struct config config;

static const char *owner(struct boot_framebuffer *f)
{
	return screen_owner(f, &config);
}

TEST(a_guest_may_have_the_display)
{
	struct boot_framebuffer *f = loader_says();
	struct config_guest *g = &config.guest[1];

	memset(&config, 0, sizeof(config));
	config.guests = 2;
	strcpy(config.guest[0].name, "other");
	strcpy(g->name, "desktop");
	CHECK(!owner(f));
	g->mmios = 1;
	g->mmio[0] = (struct config_range){.base = 0xfd300000, .size = 0x1000};
	CHECK(!owner(f));
	g->mmio[0].base = 0xfd2ff000;
	CHECK_STR(owner(f), "desktop");
	g->mmio[0] = (struct config_range){.base = 0xfc000000, .size = 0x1000000};
	CHECK(!owner(f));
	g->mmio[0].size++;
	CHECK_STR(owner(f), "desktop");
	g->mmios = 0;

	pci_function_count = 1;
	pci_functions[0] = (struct pci_function){.bdf = pci_bdf(0, 2, 0),
						 .class_revision = 0x03000000};
	g->pcis = 1;
	g->pci[0] = (struct config_pci){.device = 2};
	CHECK(!owner(f));
	pci_functions[0].bar[0] = (struct pci_bar){
		.base = 0xfd000000, .size = 0x1000000, .io = true};
	CHECK(!owner(f));
	pci_functions[0].bar[0].io = false;
	CHECK_STR(owner(f), "desktop");
	pci_functions[0].bar[0].base = 0xe0000000;
	CHECK(!owner(f));
	f = loader_says_text();
	CHECK_STR(owner(f), "desktop");
	pci_functions[0].class_revision = 0x02000000;
	CHECK(!owner(f));
	g->pci[0].device = 3; /* no such function: refused elsewhere */
	CHECK(!owner(f));
}
