/*
 * DMAR and IVRS on hand-built tables: what is read, and that truncated, looping and overlapping
 * ones are refused by name.
 */
#include "drivers/acpi_dmar.h"
#include "drivers/acpi_ivrs.h"
#include "hv/lib/bytes.h"
#include "tests/host/test.h"

enum { AT = 0x1000, SIZE = 0x20000 };

static uint8_t table[SIZE];
static struct acpi_info info;
static struct refusal why;
static struct dmar_info dmar;
static struct ivrs_info ivrs;
static void *copies[8];
static unsigned copied;

/* Exact heap copies: the sanitizer sees every byte read past what was asked for. */
static const void *map(void *ctx, hpa_t at, uint64_t len)
{
	(void)ctx;
	if (at.v != AT || len > SIZE) {
		return NULL;
	}
	copies[copied] = malloc(len);
	return memcpy(copies[copied++], table, len);
}

static bool parse(void)
{
	bool ok, is_dmar = table[0] == 'D';

	memset(&info, 0, sizeof(info));
	memset(&why, 0, sizeof(why));
	memset(&dmar, 0x5a, sizeof(dmar));
	memset(&ivrs, 0x5a, sizeof(ivrs));
	info.tables = 1;
	memcpy(info.table[0].name, table, 4);
	info.table[0].at = hpa(AT);
	ok = is_dmar ? acpi_parse_dmar(&dmar, &info, map, NULL, &why)
		     : acpi_parse_ivrs(&ivrs, &info, map, NULL, &why);
	while (copied) {
		free(copies[--copied]);
	}
	CHECK(ok == !why.text[0]);
	return ok;
}

static void seal(void)
{
	table[9] = 0;
	table[9] = (uint8_t)-bytes_sum(table, get_le32(table + 4));
}

static void begin(const char *name)
{
	memset(table, 0, sizeof(table));
	memcpy(table, name, 4);
	put_le32(table + 4, 48);
	table[36] = 38; /* DMAR: host address width, less one */
	table[37] = 1;	/* INTR_REMAP */
	seal();
}

static uint8_t *append(const void *bytes, uint32_t len)
{
	uint32_t old = get_le32(table + 4);

	memcpy(table + old, bytes, len);
	put_le32(table + 4, old + len);
	seal();
	return table + old;
}

static void refused(const char *text)
{
	seal();
	CHECK(!parse());
	CHECK_STR(why.text, text);
}

/* --- DMAR --- */

static const uint8_t drhd[] = {0, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0xd9, 0xfe, 0, 0, 0, 0,
			       /* the I/O APIC, id 5, at ff:00.0; 02:1d.3 behind 00:1c.0 */
			       3, 8, 0, 0, 5, 0xff, 0, 0, 2, 8, 0, 0, 0, 2, 0x1d, 3};
static const uint8_t drhd_all[] = {0, 0, 16, 0, 1, 0, 0, 0, 0, 0x10, 0xd9, 0xfe, 0, 0, 0, 0};
static const uint8_t rmrr[] = {1, 0,  34, 0, 0,	   0,	 0,    0,    0,	   0x10, 0, 0x7b,
			       0, 0,  0,  0, 0xff, 0x2f, 0,    0x7b, 0,	   0,	 0, 0,
			       1, 10, 0,  0, 0,	   0,	 0x1c, 0,    0x14, 7};
static const uint8_t atsr[] = {2, 0, 8, 0, 1, 0, 0, 0};
static const uint8_t rhsa[] = {3, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0xd9, 0xfe, 0, 0, 0, 0, 1, 0, 0, 0};

static void make_dmar(void)
{
	begin("DMAR");
	append(drhd, sizeof(drhd));
	append(drhd_all, sizeof(drhd_all));
	append(rmrr, sizeof(rmrr));
	append(atsr, sizeof(atsr));
	append(rhsa, sizeof(rhsa));
}

TEST(dmar_whole)
{
	make_dmar();
	CHECK(parse());
	CHECK_STR(why.text, "");
	CHECK(dmar.remaps_interrupts);
	CHECK_EQ(dmar.units, 2);
	CHECK_EQ(dmar.unit[0].base.v, 0xfed90000);
	CHECK(!dmar.unit[0].all);
	CHECK_EQ(dmar.unit[0].scopes.first, 0);
	CHECK_EQ(dmar.unit[0].scopes.count, 2);
	CHECK_EQ(dmar.scope[0].type, DMAR_IOAPIC);
	CHECK_EQ(dmar.scope[0].id, 5);
	CHECK_EQ(dmar.scope[0].bus, 0xff);
	CHECK_EQ(dmar.scope[1].bus, 2);
	CHECK_EQ(dmar.scope[1].path[0].device, 0x1d);
	CHECK_EQ(dmar.scope[1].path[0].function, 3);
	CHECK(dmar.unit[1].all);
	CHECK_EQ(dmar.unit[1].scopes.count, 0);
	CHECK_EQ(dmar.ranges, 1);
	CHECK_EQ(dmar.range[0].base, 0x7b001000);
	CHECK_EQ(dmar.range[0].end, 0x7b003000);
	CHECK_EQ(dmar.range[0].scopes.count, 1);
	CHECK_EQ(dmar.scope[2].steps, 2);
	CHECK_EQ(dmar.scope[2].path[1].function, 7);
}

TEST(dmar_ranges_become_whole_pages)
{
	begin("DMAR");
	append(drhd_all, sizeof(drhd_all));
	put_le64(append(rmrr, sizeof(rmrr)) + 8, 0x7b001800);
	put_le64(table + 64 + 16, 0x7b002001);
	seal();
	CHECK(parse());
	CHECK_EQ(dmar.range[0].base, 0x7b001000);
	CHECK_EQ(dmar.range[0].end, 0x7b003000);
}

#define DMAR_SAYS "ACPI: DMAR at 0x1000: structure at offset "

TEST(dmar_hostile)
{
	begin("DMAR");
	refused("ACPI: DMAR at 0x1000: names no remapping unit");
	make_dmar();
	table[9]++;
	CHECK(!parse());
	CHECK_STR(why.text, "ACPI: DMAR at 0x1000: its checksum is wrong");
	make_dmar();
	put_le32(table + 4, 47);
	refused("ACPI: DMAR at 0x1000: length 0x2f is out of range (0x30-0x1000000)");
	make_dmar();
	put_le16(table + 48 + 2, 0); /* would stand still */
	refused(DMAR_SAYS "0x30: its length does not fit");
	make_dmar();
	put_le16(table + 48 + 2, 15);
	refused(DMAR_SAYS "0x30: its length does not fit");
	make_dmar();
	put_le16(table + 48 + 2, 0xffff);
	refused(DMAR_SAYS "0x30: its length does not fit");
	make_dmar();
	put_le32(table + 4, get_le32(table + 4) + 3); /* a structure of three bytes */
	refused(DMAR_SAYS "0x9e: its length does not fit");
	make_dmar();
	table[48 + 16 + 1] = 0; /* the scope would stand still */
	refused(DMAR_SAYS "0x30: the length of a device scope is wrong");
	make_dmar();
	table[48 + 16 + 1] = 7;
	refused(DMAR_SAYS "0x30: the length of a device scope is wrong");
	make_dmar();
	table[48 + 24 + 1] = 10; /* into the next structure */
	refused(DMAR_SAYS "0x30: a device scope reaches beyond it");
	make_dmar();
	put_le16(table + 48 + 2, 17); /* one byte of a scope */
	refused(DMAR_SAYS "0x30: a device scope reaches beyond it");
	make_dmar();
	table[48 + 24 + 6] = 32;
	refused(DMAR_SAYS "0x30: a device scope names no PCI function");
	make_dmar();
	table[48 + 8] = 1;
	refused(DMAR_SAYS "0x30: the unit's register base is no page");
	make_dmar();
	put_le64(table + 48 + 8, 0);
	refused(DMAR_SAYS "0x30: the unit's register base is no page");
	make_dmar();
	append(drhd, sizeof(drhd));
	refused(DMAR_SAYS "0x9e: another unit has the same registers");
	make_dmar();
	append(drhd_all, sizeof(drhd_all))[9] = 0x20;
	refused(DMAR_SAYS "0x9e: a second unit includes all devices of its segment");
	make_dmar();
	put_le64(table + 96 + 16, 0x7b000fff);
	refused(DMAR_SAYS "0x60: a reserved memory region ends before it starts");
	make_dmar();
	put_le64(table + 96 + 16, ~0ull);
	refused(DMAR_SAYS "0x60: a reserved memory region ends before it starts");
}

TEST(dmar_more_than_fits)
{
	begin("DMAR");
	for (unsigned i = 0; i <= DMAR_UNITS; i++) {
		put_le64(append(drhd, 16) + 8, 0xfed00000 + i * PAGE_SIZE);
		put_le16(table + 48 + i * 16 + 2, 16);
	}
	refused(DMAR_SAYS "0x230: too many remapping units");
	begin("DMAR");
	append(drhd_all, sizeof(drhd_all));
	for (unsigned i = 0; i <= DMAR_RANGES; i++) {
		append(rmrr, sizeof(rmrr));
	}
	refused(DMAR_SAYS "0x8c0: too many reserved memory regions");
	begin("DMAR");
	append(drhd, 16);
	for (unsigned i = 0; i <= DMAR_SCOPES; i++) {
		append(drhd + 16, 8);
	}
	put_le16(table + 48 + 2, (uint16_t)(16 + 8 * (DMAR_SCOPES + 1)));
	refused(DMAR_SAYS "0x30: too many device scopes");
	begin("DMAR");
	append(drhd, 16);
	append("\x01\x18\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24); /* nine steps */
	put_le16(table + 48 + 2, 40);
	refused(DMAR_SAYS "0x30: the length of a device scope is wrong");
}

/* --- IVRS --- */

static const uint8_t ivhd[] = {0x10, 0, 24, 0, 0x10, 0, 0x40, 0, 0, 0, 0xd8, 0xfe,
			       0,    0, 0,  0, 0,    0, 0,    0, 0, 0, 0,    0};
static const uint8_t all[] = {1, 0, 0, 0}, select_[] = {2, 0x18, 2, 0xff};
static const uint8_t start[] = {3, 0, 3, 0}, end[] = {4, 0xff, 3, 0};
static const uint8_t alias[] = {66, 0x08, 4, 0, 0, 0xe0, 0, 0};
static const uint8_t alias_start[] = {67, 0, 5, 0, 0, 0xe8, 0, 0}, alias_end[] = {4, 7, 5, 0};
static const uint8_t special[] = {72, 0, 0, 0, 5, 0xa0, 0, 1},
		     hpet[] = {72, 0, 0, 0, 0, 0xa1, 0, 2};
static const uint8_t named[] = {0xf0, 0x98, 0, 0, 'A', 'M', 'D', 'I', '0', '0', '4', '0', 0,
				0,    0,    0, 0, 0,   0,   0,	 2,   3,   'a', 'b', 'c'};
static const uint8_t ivmd[] = {0x22, 7, 32, 0,	  0x00, 0x01, 0xff, 0x01, 0,	0, 0,
			       0,    0, 0,  0,	  0,	0,    0x08, 0,	  0x7c, 0, 0,
			       0,    0, 0,  0x20, 0,	0,    0,    0,	  0,	0};

static uint8_t *block;

static void open_block(uint8_t type)
{
	uint8_t more[16] = {0};

	block = append(ivhd, sizeof(ivhd));
	block[0] = type;
	if (type != 0x10) {
		append(more, 16);
		block[2] = 40;
	}
	seal();
}

static void entry(const uint8_t *e, uint32_t len)
{
	append(e, len);
	put_le16(block + 2, (uint16_t)(get_le16(block + 2) + len));
	seal();
}

static void make_ivrs(void)
{
	begin("IVRS");
	open_block(0x10);
	entry(select_, 4);
	entry(start, 4);
	entry(end, 4);
	entry(alias, 8);
	entry(alias_start, 8);
	entry(alias_end, 4);
	entry(special, 8);
	entry(hpet, 8);
	append(ivmd, sizeof(ivmd));
}

TEST(ivrs_whole)
{
	const struct ivrs_device *d = ivrs.device;

	make_ivrs();
	CHECK(parse());
	CHECK_STR(why.text, "");
	CHECK_EQ(ivrs.units, 1);
	CHECK_EQ(ivrs.unit[0].base.v, 0xfed80000);
	CHECK_EQ(ivrs.unit[0].bdf, 0x10);
	CHECK_EQ(ivrs.unit[0].devices, 5);
	CHECK(d[0].kind == IVRS_SELECT && d[0].first == 0x218 && d[0].last == 0x218);
	CHECK(d[1].first == 0x300 && d[1].last == 0x3ff && !d[1].aliased);
	CHECK(d[2].first == 0x408 && d[2].aliased && d[2].alias == 0xe0);
	CHECK(d[3].first == 0x500 && d[3].last == 0x507 && d[3].aliased && d[3].alias == 0xe8);
	CHECK(d[4].kind == IVRS_IOAPIC && d[4].id == 5 && d[4].first == 0xa0);
	CHECK_EQ(ivrs.ranges, 1);
	CHECK(ivrs.range[0].first == 0x100 && ivrs.range[0].last == 0x1ff);
	CHECK(ivrs.range[0].write);
	CHECK_EQ(ivrs.range[0].base, 0x7c000000);
	CHECK_EQ(ivrs.range[0].end, 0x7c003000);
}

TEST(ivrs_highest_block_of_a_unit_counts)
{
	begin("IVRS");
	open_block(0x10);
	entry(all, 4);
	open_block(0x40);
	entry(named, sizeof(named));
	entry(select_, 4);
	open_block(0x11);
	entry(all, 4);
	open_block(0x12); /* of the future */
	CHECK(parse());
	CHECK_EQ(ivrs.units, 1);
	CHECK_EQ(ivrs.devices, 2);
	CHECK_EQ(ivrs.device[0].first, 0x98);
	CHECK_EQ(ivrs.device[1].first, 0x218);
}

TEST(ivrs_two_units)
{
	begin("IVRS");
	open_block(0x11);
	entry(all, 4);
	open_block(0x10);
	entry(select_, 4);
	block[4] = 0x12;
	block[10] = 0xd0;
	seal();
	CHECK(parse());
	CHECK_EQ(ivrs.units, 2);
	CHECK_EQ(ivrs.device[ivrs.unit[0].first].last, 0xffff);
	CHECK_EQ(ivrs.device[ivrs.unit[1].first].first, 0x218);
}

TEST(ivrs_memory_for_all_and_for_one)
{
	make_ivrs();
	append(ivmd, sizeof(ivmd))[0] = 0x20;
	block = append(ivmd, sizeof(ivmd));
	block[0] = 0x21;
	block[1] = 3; /* read only */
	seal();
	CHECK(parse());
	CHECK(ivrs.range[1].first == 0 && ivrs.range[1].last == 0xffff);
	CHECK(ivrs.range[2].first == 0x100 && ivrs.range[2].last == 0x100);
	CHECK(!ivrs.range[2].write);
}

#define IVRS_SAYS "ACPI: IVRS at 0x1000: block at offset "

TEST(ivrs_hostile)
{
	begin("IVRS");
	refused("ACPI: IVRS at 0x1000: names no unit");
	make_ivrs();
	put_le16(block + 2, 0);
	refused(IVRS_SAYS "0x30: its length does not fit");
	make_ivrs();
	put_le16(block + 2, 23);
	refused(IVRS_SAYS "0x30: its length does not fit");
	make_ivrs();
	block[0] = 0x40;
	put_le16(block + 2, 39);
	refused(IVRS_SAYS "0x30: its length does not fit");
	make_ivrs();
	put_le16(block + 2, 0xffff);
	refused(IVRS_SAYS "0x30: its length does not fit");
	begin("IVRS");
	open_block(0x10);
	entry(alias, 4); /* cut off */
	refused(IVRS_SAYS "0x30: a device entry reaches beyond it");
	begin("IVRS");
	open_block(0x40);
	entry(named, sizeof(named) - 1);
	refused(IVRS_SAYS "0x30: a device entry reaches beyond it");
	begin("IVRS");
	open_block(0x40);
	entry(named, 20); /* without the byte that tells its length */
	refused(IVRS_SAYS "0x30: a device entry reaches beyond it");
	begin("IVRS");
	open_block(0x10);
	entry(start, 4);
	refused(IVRS_SAYS "0x30: a range of devices has no end");
	entry(start, 4);
	refused(IVRS_SAYS "0x30: a range of devices has no end");
	begin("IVRS");
	open_block(0x10);
	entry(end, 4);
	refused(IVRS_SAYS "0x30: a range of devices ends before it starts");
	begin("IVRS");
	open_block(0x10);
	entry(alias_start, 8);
	entry(end, 4);
	refused(IVRS_SAYS "0x30: a range of devices ends before it starts");
	make_ivrs();
	block[8] = 1;
	refused(IVRS_SAYS "0x30: the unit's register base is no page");
	make_ivrs();
	open_block(0x10);
	block[4] = 0x12; /* another function */
	refused(IVRS_SAYS "0x98: another unit has the same registers");
	make_ivrs();
	put_le64(append(ivmd, sizeof(ivmd)) + 24, 0);
	refused(IVRS_SAYS "0x98: a memory block is empty or beyond all addresses");
	make_ivrs();
	put_le64(append(ivmd, sizeof(ivmd)) + 16, ~0xfffull);
	refused(IVRS_SAYS "0x98: a memory block is empty or beyond all addresses");
	make_ivrs();
	put_le16(append(ivmd, sizeof(ivmd)) + 6, 0xff);
	refused(IVRS_SAYS "0x98: a range of devices ends before it starts");
	make_ivrs();
	put_le32(table + 4, 65537);
	refused(IVRS_SAYS "0x0: the table is longer than 64 KiB");
}

/* --- anything at all --- */

static void mutate(void (*make)(void), unsigned seed)
{
	srand(seed);
	for (unsigned run = 0; run < 20000; run++) {
		make();
		for (unsigned n = 1 + rand() % 4; n; n--) {
			unsigned at = 36 + (unsigned)rand() % (get_le32(table + 4) - 36);

			table[at] = (uint8_t)(rand() % 2 ? rand() : table[at] + rand() % 9 - 4);
		}
		if (rand() % 4 == 0) {
			put_le32(table + 4, 48 + (uint32_t)rand() % 200);
		}
		seal();
		parse();
	}
}

TEST(mutations)
{
	mutate(make_dmar, 1);
	mutate(make_ivrs, 2);
}
