/*
 * The guest page walk: every mode, rights against an oracle written from the manuals' prose,
 * reserved bits one by one, accessed and dirty bits, and tables that point where they should not.
 */
#include "hv/gwalk.h"
#include "hv/vcpu.h"
#include "tests/host/test.h"

enum { RAM = 0x40000, ROM = 0x50000, ROOT = 0x1000, M = 46 };
#define VA    0x00007f8040612345ull /* distinct indexes at each level */
#define VA32  0xc0612345ull
#define FRAME 0x0000123456789000ull /* of the page, beyond RAM */
#define NX    BIT(63)
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80 };

static _Alignas(4096) uint8_t ram[RAM], rom[PAGE_SIZE];
static struct addrspace as;
static struct gwalk_mode m;

/* A translation of VA or VA32: its entries from the top level down to level 1 or a large leaf. */
static unsigned levels, entry_size;
static uint64_t va;

static void *entry(unsigned level)
{
	unsigned bits = levels == 2 ? 10 : 9;
	uint64_t index = va >> (12 + bits * (level - 1)) & ((1u << bits) - 1);

	return ram + ROOT + (levels - level) * PAGE_SIZE + index * entry_size;
}

static uint64_t get(unsigned level)
{
	uint64_t v = 0;

	memcpy(&v, entry(level), entry_size);
	return v;
}

static void put(unsigned level, uint64_t v)
{
	memcpy(entry(level), &v, entry_size);
}

static uint64_t table_below(unsigned level)
{
	return ROOT + (levels - level + 1) * PAGE_SIZE;
}

/* n levels, every right granted, nothing accessed; the frame is FRAME cut to the mode. */
static void start(unsigned n)
{
	struct refusal why = {0};

	memset(ram, 0, sizeof(ram));
	memset(rom, 0, sizeof(rom));
	as.count = 0;
	CHECK(addrspace_add(&as, &(struct addr_range){.size = RAM, .ptr = ram, .writable = true},
			    &why));
	CHECK(addrspace_add(&as, &(struct addr_range){.base = {ROM}, .size = PAGE_SIZE, .ptr = rom},
			    &why));
	levels = n;
	entry_size = n == 2 ? 4 : 8;
	va = n > 3 ? VA : VA32;
	if (n == 5) {
		va |= 0x5aull << 48;
	}
	m = (struct gwalk_mode){.cr0 = CR0_PE | CR0_PG, .cr3 = ROOT, .maxphyaddr = M};
	m.cr4 = n == 2 ? CR4_PSE : n == 5 ? CR4_PAE | CR4_LA57 : CR4_PAE;
	m.efer = n > 3 ? EFER_LME | EFER_LMA | EFER_NXE : n == 3 ? EFER_NXE : 0;
	for (unsigned level = n; level > 1; level--) {
		put(level, table_below(level) | P | (n == 3 && level == 3 ? 0 : W | U));
	}
	put(1, (n == 2 ? FRAME & 0xfffff000 : FRAME) | P | W | U);
}

static uint64_t frame(void)
{
	return levels == 2 ? FRAME & 0xfffff000 : FRAME;
}

static enum gwalk_result walk(enum gwalk_access access, struct gwalk_page *page)
{
	return gwalk(&as, &m, gva(va), access, page);
}

static bool faults(enum gwalk_access access, uint32_t error)
{
	struct gwalk_page page;

	return walk(access, &page) == GWALK_FAULT && page.error == error;
}

static bool gives(enum gwalk_access access, uint64_t gpa)
{
	struct gwalk_page page;

	return walk(access, &page) == GWALK_OK && page.gpa.v == gpa;
}

TEST(no_paging)
{
	struct gwalk_page page;

	start(2);
	m.cr0 = CR0_PE;
	CHECK_EQ(gwalk(&as, &m, gva(0x12345), GWALK_WRITE, &page), GWALK_OK);
	CHECK_EQ(page.gpa.v, 0x12345);
	CHECK(page.range == &as.range[0]);
	CHECK_EQ(gwalk(&as, &m, gva(0xfee00000), GWALK_READ, &page), GWALK_OK);
	CHECK_EQ(page.gpa.v, 0xfee00000);
	CHECK(!page.range);
}

TEST(small_pages_and_marks)
{
	for (unsigned n = 2; n <= 5; n++) {
		start(n);
		CHECK(gives(GWALK_READ, frame() | (va & 0xfff)));
		for (unsigned level = 1; level <= n; level++) {
			bool marked = !(n == 3 && level == 3);

			CHECK_EQ(get(level) & (A | D), marked ? A : 0);
		}
		CHECK(gives(GWALK_WRITE, frame() | (va & 0xfff)));
		CHECK_EQ(get(1) & (A | D), A | D);
		CHECK_EQ(get(2) & (A | D), A);
	}
}

TEST(range_of_the_page)
{
	struct gwalk_page page;

	start(4);
	put(1, ROM | P);
	CHECK_EQ(walk(GWALK_READ, &page), GWALK_OK);
	CHECK(page.range == &as.range[1]);
	put(1, 0x3000 | P);
	CHECK_EQ(walk(GWALK_READ, &page), GWALK_OK);
	CHECK(page.range == &as.range[0]);
	CHECK_EQ(page.gpa.v, 0x3000 | (va & 0xfff));
}

TEST(large_pages)
{
	for (unsigned n = 3; n <= 5; n++) {
		start(n);
		put(2, (FRAME & ~(PAGE_2M - 1)) | P | W | U | PS);
		CHECK(gives(GWALK_WRITE, (FRAME & ~(PAGE_2M - 1)) | (va & (PAGE_2M - 1))));
		CHECK_EQ(get(2) & (A | D), A | D);
		for (unsigned bit = 12; bit <= 20; bit++) { /* bit 12 is PAT */
			put(2, (FRAME & ~(PAGE_2M - 1)) | BIT(bit) | P | W | U | PS);
			CHECK(bit == 12 ? gives(GWALK_READ,
						(FRAME & ~(PAGE_2M - 1)) | (va & (PAGE_2M - 1)))
					: faults(GWALK_READ, PF_PRESENT | PF_RESERVED));
		}
	}
	for (unsigned n = 4; n <= 5; n++) {
		start(n);
		put(3, (FRAME & ~(PAGE_1G - 1)) | P | W | U | PS);
		CHECK(gives(GWALK_WRITE, (FRAME & ~(PAGE_1G - 1)) | (va & (PAGE_1G - 1))));
		put(3, get(3) | BIT(29));
		CHECK(faults(GWALK_READ, PF_PRESENT | PF_RESERVED));
	}
}

TEST(large_pages_32)
{
	start(2);
	/* PSE-36: bits 39:32 stand in 20:13 */
	put(2, 0x80400000 | 0xabull << 13 | P | W | U | PS);
	CHECK(gives(GWALK_WRITE, 0xab80400000 | (va & 0x3fffff)));
	CHECK_EQ(get(2) & (A | D), A | D);
	put(2, 0x80400000 | BIT(21) | P | PS);
	CHECK(faults(GWALK_READ, PF_PRESENT | PF_RESERVED));
	m.maxphyaddr = 36;
	put(2, 0x80400000 | 0x0full << 13 | P | PS);
	CHECK(gives(GWALK_READ, 0xf80400000 | (va & 0x3fffff)));
	put(2, 0x80400000 | 0x10ull << 13 | P | PS);
	CHECK(faults(GWALK_READ, PF_PRESENT | PF_RESERVED));
	/* without CR4.PSE the bit has no meaning */
	m.cr4 = 0;
	put(2, table_below(2) | P | PS);
	CHECK(gives(GWALK_READ, frame() | (va & 0xfff)));
}

/* Which bits of an entry at a level must be zero, from the figures of "Paging". */
static bool is_reserved(unsigned level, unsigned bit, bool nxe)
{
	if (levels == 3 && level == 3) {
		return (bit >= 1 && bit <= 2) || (bit >= 6 && bit <= 8) || bit >= M;
	}
	if (bit == 63) {
		return !nxe;
	}
	if (bit == 7) {
		return level > 3;
	}
	return bit >= M && bit <= (levels == 3 ? 62 : 51);
}

TEST(reserved_bits)
{
	for (unsigned n = 3; n <= 5; n++) {
		for (unsigned nxe = 0; nxe < 2; nxe++) {
			for (unsigned level = 1; level <= n; level++) {
				for (unsigned bit = 1; bit < 64; bit++) {
					bool address = bit >= 12 && bit < M;

					if (address || (bit == 7 && (level == 2 || level == 3))) {
						continue;
					}
					start(n);
					m.efer &= nxe ? ~0ull : ~(uint64_t)EFER_NXE;
					put(level, get(level) | BIT(bit));
					CHECK(is_reserved(level, bit, nxe)
						      ? faults(GWALK_READ, PF_PRESENT | PF_RESERVED)
						      : gives(GWALK_READ, frame() | (va & 0xfff)));
				}
			}
		}
	}
	/* all address bits are good on a CPU of 52 bits */
	start(4);
	m.maxphyaddr = 52;
	put(1, FIELD(51, 12) | P);
	CHECK(gives(GWALK_READ, FIELD(51, 12) | (va & 0xfff)));
}

TEST(not_present)
{
	for (unsigned n = 2; n <= 5; n++) {
		for (unsigned level = 1; level <= n; level++) {
			start(n);
			put(level, ~0ull & ~(uint64_t)P); /* the other bits mean nothing */
			CHECK(faults(GWALK_READ, 0));
			m.cpl = 3;
			CHECK(faults(GWALK_WRITE, PF_WRITE | PF_USER));
			CHECK(faults(GWALK_FETCH, PF_USER | (n > 2 ? PF_FETCH : 0)));
			m.efer &= ~EFER_NXE;
			CHECK(faults(GWALK_FETCH, PF_USER));
			m.cr4 |= CR4_SMEP;
			CHECK(faults(GWALK_FETCH, PF_USER | PF_FETCH));
			CHECK_EQ(get(n) & A, level == n ? A : 0); /* a fault marks nothing */
		}
	}
}

static uint64_t next_random(void)
{
	static uint64_t x = 0x123456789abcdef;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* "Determination of Access Rights", sentence by sentence. */
static bool allowed(enum gwalk_access access, bool user, bool writable, bool execute_disable)
{
	bool supervisor = m.cpl < 3 || (access & GWALK_IMPLICIT);
	bool smap = m.cr4 & CR4_SMAP, ac = m.rflags & RFLAGS_AC;

	if (supervisor) {
		if (access & GWALK_FETCH) {
			return !execute_disable && !(user && (m.cr4 & CR4_SMEP));
		}
		if (user && smap && !(ac && !(access & GWALK_IMPLICIT))) {
			return false;
		}
		return !(access & GWALK_WRITE) || writable || !(m.cr0 & CR0_WP);
	}
	if (!user) {
		return false;
	}
	if (access & GWALK_FETCH) {
		return !execute_disable;
	}
	return !(access & GWALK_WRITE) || writable;
}

static void check_rights_once(void)
{
	static const enum gwalk_access accesses[] = {GWALK_READ, GWALK_WRITE, GWALK_FETCH,
						     GWALK_IMPLICIT, GWALK_IMPLICIT | GWALK_WRITE};
	unsigned n = 2 + (unsigned)(next_random() % 4);
	enum gwalk_access access = accesses[next_random() % ARRAY_SIZE(accesses)];
	bool user = true, writable = true, nx = false, good;
	uint32_t error;

	start(n);
	m.cpl = next_random() & 1 ? 3 : 0;
	m.cr0 |= next_random() & CR0_WP;
	m.cr4 |= next_random() & (CR4_SMEP | CR4_SMAP);
	m.rflags = next_random() & RFLAGS_AC;
	for (unsigned level = 1; level <= n; level++) {
		/* mostly permissive, so that all of the levels matter */
		uint64_t take = (next_random() & 3 ? 0 : U) | (next_random() & 3 ? 0 : W);
		uint64_t add = n > 2 && !(next_random() & 3) ? NX : 0;

		if (n == 3 && level == 3) {
			continue;
		}
		put(level, (get(level) & ~take) | add | (next_random() & (A | D)));
		user = user && !(take & U);
		writable = writable && !(take & W);
		nx = nx || add;
	}
	good = allowed(access, user, writable, nx);
	error = PF_PRESENT | (access & GWALK_WRITE) |
		(m.cpl == 3 && !(access & GWALK_IMPLICIT) ? PF_USER : 0);
	if ((access & GWALK_FETCH) && (n > 2 || (m.cr4 & CR4_SMEP))) {
		error |= PF_FETCH;
	}
	CHECK(good ? gives(access, frame() | (va & 0xfff)) : faults(access, error));
	CHECK(!good || (get(1) & A));
	CHECK(!good || !(access & GWALK_WRITE) || (get(1) & D));
}

TEST(rights)
{
	for (unsigned i = 0; i < 100000; i++) {
		check_rights_once();
	}
}

TEST(protection_keys)
{
	for (unsigned bits = 0; bits < 4; bits++) {
		bool denied = bits & 1, read_only = bits & 2;

		start(4);
		m.cr4 |= CR4_PKE;
		m.cr0 |= CR0_WP;
		m.cpl = 3;
		m.pkru = bits << (2 * 11);
		put(1, get(1) | 11ull << 59);
		CHECK(denied ? faults(GWALK_READ, PF_PRESENT | PF_USER | PF_KEY)
			     : gives(GWALK_READ, frame() | (va & 0xfff)));
		CHECK(denied || read_only
			      ? faults(GWALK_WRITE, PF_PRESENT | PF_USER | PF_WRITE | PF_KEY)
			      : gives(GWALK_WRITE, frame() | (va & 0xfff)));
		CHECK(gives(GWALK_FETCH, frame() | (va & 0xfff)));
		/* supervisor: as the user, but WD only with CR0.WP */
		m.cpl = 0;
		m.cr0 &= ~(uint64_t)CR0_WP;
		CHECK(denied ? faults(GWALK_WRITE, PF_PRESENT | PF_WRITE | PF_KEY)
			     : gives(GWALK_WRITE, frame() | (va & 0xfff)));
		/* supervisor pages have no key */
		put(1, get(1) & ~(uint64_t)U);
		CHECK(gives(GWALK_READ, frame() | (va & 0xfff)));
		/* and without CR4.PKE nothing has */
		start(4);
		m.pkru = ~0u;
		CHECK(gives(GWALK_READ, frame() | (va & 0xfff)));
	}
}

TEST(hostile_tables)
{
	struct gwalk_page page;

	for (unsigned n = 2; n <= 5; n++) {
		start(n);
		m.cr3 = 0xfffff000;
		CHECK_EQ(walk(GWALK_READ, &page), GWALK_NOT_RAM);
		for (unsigned level = 2; level <= n; level++) {
			uint64_t rights = n == 3 && level == 3 ? P : P | W | U;

			start(n);
			put(level, 0x41000 | rights); /* the hole behind RAM */
			CHECK_EQ(walk(GWALK_READ, &page), GWALK_NOT_RAM);
			put(level, (n == 2 ? 0xfffff000 : FIELD(M - 1, 12)) | rights);
			CHECK_EQ(walk(GWALK_READ, &page), GWALK_NOT_RAM);
			put(level, m.cr3 | rights); /* itself: legal, ends after n levels */
			walk(GWALK_WRITE, &page);
		}
	}
}

/* A table in ROM works as long as there is nothing to mark in it. */
TEST(table_in_rom)
{
	struct gwalk_page page;
	uint64_t leaf = FRAME | P | W | U | A;

	start(4);
	put(2, ROM | P | W | U);
	memcpy(rom + (va >> 12 & 511) * 8, &leaf, 8);
	CHECK(gives(GWALK_READ, frame() | (va & 0xfff)));
	CHECK_EQ(walk(GWALK_WRITE, &page), GWALK_NOT_RAM);
	leaf |= D;
	memcpy(rom + (va >> 12 & 511) * 8, &leaf, 8);
	CHECK(gives(GWALK_WRITE, frame() | (va & 0xfff)));
}

/* --- repeated fetches --- */

static struct gwalk_memo memos[GWALK_MEMOS];

/* Changes one thing that a walk depends on, or nothing. */
static void change_something(void)
{
	unsigned level = 1 + (unsigned)(next_random() % levels);

	switch (next_random() % 16) {
	case 0: m.cr0 ^= CR0_WP; break;
	case 1: m.cr4 ^= CR4_SMEP; break;
	case 2: m.efer ^= EFER_NXE; break;
	case 3: m.cpl ^= 3; break;
	case 4: put(level, get(level) ^ U); break;
	case 5: put(level, get(level) ^ NX); break;
	case 6: put(level, get(level) ^ P); break;
	case 7: put(level, get(level) & ~(uint64_t)A); break;
	case 8: put(1, get(1) ^ 0x8000); break;
	case 9: va ^= next_random() & 0xfff; break;
	case 10:
	case 11: /* all is well again */
		for (unsigned l = levels; l > 1; l--) {
			put(l, table_below(l) | P | (levels == 3 && l == 3 ? 0 : W | U));
		}
		put(1, frame() | P | W | U);
		m.cr4 &= ~(uint64_t)CR4_SMEP;
		break;
	default: break;
	}
}

/* A memo never makes a difference, whatever the guest changes between two fetches. */
TEST(memo_is_never_stale)
{
	unsigned hits = 0;

	for (unsigned n = 2; n <= 5; n++) {
		start(n);
		put(2, get(2) | A); /* some present from the start, some not */
		memset(memos, 0, sizeof(memos));
		for (unsigned i = 0; i < 50000; i++) {
			struct gwalk_page a = {0}, b = {0};
			enum gwalk_result with, without;
			uint8_t before[RAM / 8];

			change_something();
			memcpy(before, ram, sizeof(before));
			hits += memos[(va >> 12) % GWALK_MEMOS].count != 0;
			with = gwalk_fetch(&as, &m, gva(va), memos, &a);
			CHECK_EQ(!memcmp(before, ram, sizeof(before)) || with == GWALK_OK, 1);
			without = gwalk(&as, &m, gva(va), GWALK_FETCH, &b);
			CHECK_EQ(with, without);
			CHECK(with != GWALK_OK || (a.gpa.v == b.gpa.v && a.range == b.range));
			CHECK(with != GWALK_FAULT || a.error == b.error);
			if (with == GWALK_OK) {
				CHECK(get(1) & A);
				CHECK(get(n > 3 ? n : 2) & A);
			}
		}
	}
	CHECK(hits > 10000);
}

/* Accessed bits that the guest clears are set again by the very fetch that comes next. */
TEST(memo_marks_again)
{
	struct gwalk_page page;

	start(4);
	memset(memos, 0, sizeof(memos));
	for (unsigned level = 1; level <= 4; level++) {
		CHECK_EQ(gwalk_fetch(&as, &m, gva(va), memos, &page), GWALK_OK);
		put(level, get(level) & ~(uint64_t)A);
		CHECK_EQ(gwalk_fetch(&as, &m, gva(va), memos, &page), GWALK_OK);
		CHECK(get(level) & A);
	}
}
