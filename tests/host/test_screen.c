/*
 * The screen: cells and what is drawn of them, text and control sequences, where tiles stand, the
 * pixels of a framebuffer, and what the loader may say of one.
 */
#include "boot/screen.h"
#include "hv/console/font.h"
#include "hv/console/pane.h"
#include "hv/console/tiles.h"
#include "hv/pci.h"
#include "test.h"
#include "tests/fake/fake_host.h"

static struct screen s;
static struct pane p;

static void setup(unsigned cols, unsigned rows)
{
	fake_host_reset();
	fake_host.screen_cols = cols;
	fake_host.screen_rows = rows;
	screen_init(&s, cols, rows);
	pane_init(&p, &s, &(struct screen_area){0, 0, cols, rows});
}

static void say(const char *text)
{
	pane_write(&p, text, strlen(text));
}

/* A line of what is on the fake screen, without blanks at its end. */
static const char *line(unsigned row)
{
	static char text[SCREEN_COLS + 1];
	unsigned n = fake_host.screen_cols;

	screen_draw(&s, UINT32_MAX);
	for (unsigned i = 0; i < n; i++) {
		text[i] = (char)fake_host.screen[row][i].ch;
	}
	while (n && text[n - 1] == ' ') {
		n--;
	}
	text[n] = 0;
	return text;
}

static uint8_t attr(unsigned col, unsigned row)
{
	screen_draw(&s, UINT32_MAX);
	return fake_host.screen[row][col].attr;
}

/* --- cells --- */

TEST(all_is_drawn_at_first_and_then_what_changes)
{
	setup(40, 10);
	CHECK(!screen_settled(&s));
	CHECK(screen_draw(&s, UINT32_MAX));
	CHECK(screen_settled(&s));
	CHECK_EQ(fake_host.screen_drawn, 400);
	say("abc");
	CHECK(!screen_settled(&s));
	screen_draw(&s, UINT32_MAX);
	CHECK_EQ(fake_host.screen_drawn, 403);
	say("\rabd");
	screen_draw(&s, UINT32_MAX);
	CHECK_EQ(fake_host.screen_drawn, 404);
	screen_forget(&s);
	screen_draw(&s, UINT32_MAX);
	CHECK_EQ(fake_host.screen_drawn, 804);
}

TEST(a_turn_draws_no_more_than_its_budget)
{
	unsigned turns = 1;

	setup(100, 50);
	while (!screen_draw(&s, 250)) {
		CHECK(fake_host.screen_drawn <= turns * 250);
		turns++;
	}
	CHECK_EQ(fake_host.screen_drawn, 5000);
	CHECK_EQ(turns, 20);
}

TEST(a_row_that_keeps_changing_does_not_starve_the_others)
{
	setup(40, 10);
	screen_draw(&s, UINT32_MAX);
	say("\033[9;1Hbelow");
	for (int i = 0; i < 10; i++) {
		say(i & 1 ? "\033[1;1Haaaa" : "\033[1;1Hbbbb");
		screen_draw(&s, 2);
	}
	CHECK_EQ(fake_host.screen[8][0].ch, 'b');
	CHECK_EQ(fake_host.screen[8][4].ch, 'w');
}

TEST(cells_outside_are_ignored)
{
	setup(40, 10);
	screen_put(&s, 40, 0, (struct screen_cell){'x', 7});
	screen_put(&s, 0, 10, (struct screen_cell){'x', 7});
	screen_fill(&s, &(struct screen_area){30, 8, 100, 100}, (struct screen_cell){'x', 7});
	screen_scroll(&s, &(struct screen_area){30, 5, 100, 100}, 3, (struct screen_cell){'y', 7});
	screen_scroll(&s, &(struct screen_area){300, 5, 10, 3}, 1, (struct screen_cell){'y', 7});
	CHECK_STR(line(5), "                              xxxxxxxxxx");
	screen_init(&s, 100000, 100000);
	CHECK_EQ(s.cols, SCREEN_COLS);
	CHECK_EQ(s.rows, SCREEN_ROWS);
}

/* --- text --- */

TEST(lines_wrap_and_scroll)
{
	setup(10, 4);
	say("one\r\ntwo\n0123456789");
	CHECK_STR(line(1), "two");
	CHECK_STR(line(2), "0123456789");
	CHECK_STR(line(3), "");
	say("ab\n");
	CHECK_STR(line(0), "two");
	CHECK_STR(line(2), "ab");
	say("1\n2\n3");
	CHECK_STR(line(0), "ab");
	CHECK_STR(line(3), "3");
}

TEST(many_lines_at_once_look_like_one_by_one)
{
	static const char *const text[] = {
		"one\ntwo two two two\n\nthree\n\n\nfour\nfive five five\nsix\n\nnine\n\n",
		"1\n2\n3\n4\n5\033[A\nx",
		"1\n2\n3\n4\n5\n6\033[1;1H7\n8\n9\n",
		"1\n2\n3\n4\n5\n6\033[2J\n\n\n7",
	};
	char expected[4][32];

	for (unsigned i = 0; i < ARRAY_SIZE(text); i++) {
		setup(10, 4);
		for (const char *c = text[i]; *c; c++) {
			pane_write(&p, c, 1);
		}
		for (unsigned row = 0; row < 4; row++) {
			strcpy(expected[row], line(row));
		}
		setup(10, 4);
		say(text[i]);
		for (unsigned row = 0; row < 4; row++) {
			CHECK_STR(line(row), expected[row]);
		}
	}
	say("\n\n\n\n\n\n\n\n\n\nlast");
	CHECK_STR(line(3), "last");
	CHECK_STR(line(2), "");
}

TEST(an_area_keeps_to_itself)
{
	setup(20, 6);
	screen_fill(&s, &(struct screen_area){0, 0, 20, 6}, (struct screen_cell){'.', 7});
	pane_init(&p, &s, &(struct screen_area){5, 1, 8, 3});
	say("abcdefghij\n1\n2\n\033[99;99Hx\033[J\tq");
	CHECK_STR(line(0), "....................");
	CHECK_STR(line(1), ".....1       .......");
	CHECK_STR(line(3), ".....       q.......");
	CHECK_STR(line(4), "....................");
	pane_init(&p, &s, &(struct screen_area){0, 0, 0, 0});
	say("nothing\n\033[2J");
	CHECK_STR(line(0), "....................");
}

TEST(carriage_return_backspace_and_tab)
{
	setup(20, 4);
	say("hello\rJ\b\b\bY\tx\t\t\t\ty");
	CHECK_STR(line(0), "Yello   x          y");
}

TEST(cursor_moves)
{
	setup(20, 5);
	say("\033[2;3Hab\033[Ac\033[2Dd\033[Be\033[5Cf\033[Gg\033[4dh\033[Hi\033[99A\033[99Dj");
	CHECK_STR(line(0), "j  dc");
	CHECK_STR(line(1), "g abe     f");
	CHECK_STR(line(3), " h");
	say("\033[0;0Hz\033[3fy");
	CHECK_STR(line(0), "z  dc");
	CHECK_STR(line(2), "y");
}

TEST(erasing)
{
	setup(10, 3);
	say("aaaaaaaaa\nbbbbbbbbb\nccccccccc\033[2;5H\033[K");
	CHECK_STR(line(1), "bbbb");
	say("\033[1;5H\033[1K");
	CHECK_STR(line(0), "     aaaa");
	say("\033[2;2H\033[J");
	CHECK_STR(line(1), "b");
	CHECK_STR(line(2), "");
	say("\033[2J\033[H!");
	CHECK_STR(line(0), "!");
	say("\033cq");
	CHECK_STR(line(0), "q");
}

TEST(colours)
{
	setup(40, 3);
	say("a\033[1;31mb\033[44mc\033[0md\033[7me\033[27mf\033[92mg\033[39;49mh\033[38;5;3mi\033["
	    "mj");
	CHECK_EQ(attr(0, 0), 0x07);
	CHECK_EQ(attr(1, 0), 0x0c); /* the VGA's red is 4 */
	CHECK_EQ(attr(2, 0), 0x1c);
	CHECK_EQ(attr(3, 0), 0x07);
	CHECK_EQ(attr(4, 0), 0x70);
	CHECK_EQ(attr(5, 0), 0x07);
	CHECK_EQ(attr(6, 0), 0x0a);
	CHECK_EQ(attr(9, 0), 0x07);
}

TEST(what_is_not_understood_leaves_no_litter)
{
	static const char *const sequence[] = {
		"\033[?25l",
		"\033[?2004h",
		"\033[6n",
		"\033[c",
		"\033[>0;1;2c",
		"\033(B",
		"\033)0",
		"\033=",
		"\033>",
		"\0337",
		"\0338",
		"\033]0;title\007",
		"\033]8;;x\033\\",
		"\033Pq#1\033\\",
		"\033[1;2;3;4;5;6;7;8;9;10;11z",
		"\033[99999999999999999999z",
		"\033[\030",
		"\033\032",
		"\a",
		"\016",
		"\177",
		"\033[ q",
		"\033[!p",
		"\033_x\033\\",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(sequence); i++) {
		setup(20, 3);
		say("a");
		say(sequence[i]);
		say("b");
		CHECK_STR(line(0), "ab");
	}
	setup(20, 3);
	say("\033]no end of this\nx\033[12\ny");
	CHECK_STR(line(1), "x");
	CHECK_STR(line(2), "y");
}

TEST(a_character_of_utf8_is_one_cell)
{
	setup(20, 3);
	say("a\303\244b\342\202\254c\360\237\230\200d");
	CHECK_STR(line(0), "a\177b\177c\177d");
}

TEST(any_bytes_are_survived)
{
	uint32_t seed = 1;

	setup(17, 5);
	screen_fill(&s, &(struct screen_area){0, 0, 17, 5}, (struct screen_cell){'.', 7});
	pane_init(&p, &s, &(struct screen_area){2, 1, 13, 3});
	for (unsigned i = 0; i < 2000000; i++) {
		static const char often[] = "\033[;0123456789HJKmABCDGd\n\r\t\b";
		char c;

		seed = seed * 1664525 + 1013904223;
		c = seed >> 31 ? often[(seed >> 8) % (sizeof(often) - 1)] : (char)(seed >> 16);
		pane_write(&p, &c, 1);
	}
	CHECK_STR(line(0), ".................");
	CHECK_STR(line(4), ".................");
	for (unsigned row = 0; row < 5; row++) {
		CHECK_EQ(fake_host.screen[row][1].ch, '.');
		CHECK_EQ(fake_host.screen[row][15].ch, '.');
		for (unsigned col = 0; col < 17; col++) {
			CHECK(fake_host.screen[row][col].ch >= ' ');
		}
	}
}

/* --- tiles --- */

static const unsigned sizes[][2] = {{40, 10},  {80, 25},  {80, 50},  {100, 37},
				    {128, 48}, {160, 50}, {240, 67}, {256, 96}};

TEST(tiles_fill_the_screen_without_overlap)
{
	static uint8_t owner[SCREEN_ROWS][SCREEN_COLS];

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned cols = sizes[i][0], rows = sizes[i][1];

		for (unsigned guests = 1; guests <= MAX_GUESTS; guests++) {
			struct tiles t;
			unsigned free = 0;

			tiles_place(&t, guests, cols, rows);
			memset(owner, 0, sizeof(owner));
			for (unsigned g = 0; g <= guests; g++) {
				struct screen_area *a = g < guests ? &t.guest[g] : &t.log;

				CHECK(a->rows >= 1 && a->cols >= 18);
				CHECK(a->rows >= 2 || rows == 10);
				CHECK(a->col + a->cols <= cols && a->row + a->rows <= rows);
				for (unsigned y = a->row; y < a->row + a->rows; y++) {
					for (unsigned x = a->col; x < a->col + a->cols; x++) {
						CHECK(!owner[y][x]);
						owner[y][x] = 1;
					}
				}
			}
			for (unsigned y = 0; y < rows; y++) {
				for (unsigned x = 0; x < cols; x++) {
					free += !owner[y][x];
				}
			}
			/* Only the lines between columns are nobody's. */
			CHECK(free <= rows * (cols / 20));
			CHECK(t.log.cols == cols && t.log.row + t.log.rows == rows);
		}
	}
}

TEST(two_guests_on_a_text_screen_are_one_above_the_other)
{
	struct tiles t;

	tiles_place(&t, 2, 80, 25);
	CHECK(t.guest[0].cols == 80 && t.guest[1].cols == 80);
	CHECK(t.guest[0].rows >= 9 && t.guest[1].rows >= 9);
	CHECK_EQ(t.log.rows, 6);
	tiles_place(&t, 2, 240, 67); /* and beside each other where there is room */
	CHECK(t.guest[0].cols >= 100 && t.guest[0].rows == t.guest[1].rows);
}

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
	g->pci[0] = (struct config_pci){0, 2, 0, {0, 0}};
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
