/*
 * The pure parts of the backends: events and segment attributes as the vendors encode them, the
 * arithmetic of VMX controls, bitmaps, and instruction lengths.
 */
#include "arch/x86_64/event_code.h"
#include "arch/x86_64/exit_bitmap.h"
#include "arch/x86_64/svm/attributes.h"
#include "arch/x86_64/svm/insn_length.h"
#include "arch/x86_64/svm/vmcb.h"
#include "arch/x86_64/vmx/controls.h"
#include "tests/host/test.h"

/* --- events --- */

TEST(event_codes)
{
	struct event intr = {.valid = true, .type = EVENT_INTR, .vector = 0x31};
	struct event nmi = {.valid = true, .type = EVENT_NMI, .vector = 2};
	struct event pf = {
		.valid = true, .type = EVENT_EXC, .vector = 14, .has_error = true, .error = 5};
	struct event soft = {.valid = true, .type = EVENT_SOFT_INT, .vector = 0x80, .insn_len = 2};

	CHECK_EQ(event_encode(&intr), 0x80000031);
	CHECK_EQ(event_encode(&nmi), 0x80000202);
	CHECK_EQ(event_encode(&pf), 0x80000b0e);
	CHECK_EQ(event_encode(&soft), 0x80000480);
}

TEST(event_codes_and_back)
{
	for (unsigned type = 0; type < 8; type++) {
		for (unsigned vector = 0; vector < 256; vector++) {
			struct event e = {.valid = true,
					  .type = (enum event_type)type,
					  .vector = (uint8_t)vector,
					  .has_error = vector & 1,
					  .error = vector & 1 ? 0xdeadbeef : 0};
			struct event back;

			event_decode(&back, event_encode(&e), 0xdeadbeef);
			CHECK(back.valid);
			CHECK_EQ(back.type, e.type);
			CHECK_EQ(back.vector, e.vector);
			CHECK_EQ(back.has_error, e.has_error);
			CHECK_EQ(back.error, e.error);
		}
	}
}

/* Bit 12 is undefined in IDT-vectoring information, and makes an entry fail if injected. */
TEST(event_reserved_bits_are_dropped)
{
	struct event e;

	event_decode(&e, 0x80000b0e | FIELD(30, 12), 7);
	CHECK_EQ(event_encode(&e), 0x80000b0e);
	CHECK_EQ(e.error, 7);
	event_decode(&e, 0x00000b0e, 7);
	CHECK(!e.valid);
}

TEST(software_events)
{
	CHECK(!event_is_software(EVENT_INTR));
	CHECK(!event_is_software(EVENT_NMI));
	CHECK(!event_is_software(EVENT_EXC));
	CHECK(event_is_software(EVENT_SOFT_INT));
	CHECK(event_is_software(EVENT_PRIV_SW));
	CHECK(event_is_software(EVENT_SOFT_EXC));
}

/* --- VMX controls --- */

TEST(controls_meet)
{
	/* Bit 1 must be 1, bits 0-3 may be. */
	uint64_t allowed = 0xfull << 32 | 0x2;

	CHECK_EQ(controls_meet(0, allowed), 0x2);
	CHECK_EQ(controls_meet(0x5, allowed), 0x7);
	CHECK_EQ(controls_meet(0x15, allowed), 0x7); /* what is not allowed is not set */
	/* Bochs corei7_skylake_x: IA32_VMX_PINBASED_CTLS. */
	CHECK_EQ(controls_meet(PIN_EXT_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI | PIN_PREEMPTION_TIMER,
			       0x0000007f00000016ull),
		 0x7f);
	CHECK_EQ(controls_meet(~0u, 0), 0); /* an MSR that does not exist */
}

TEST(controls_allow)
{
	CHECK(controls_allow(0x5, 0xfull << 32));
	CHECK(!controls_allow(0x15, 0xfull << 32)); /* all of them, not some */
	CHECK(!controls_allow(1, 0xffffffff));	    /* the lower half does not allow */
}

/* --- segment attributes --- */

TEST(attributes)
{
	CHECK_EQ(attributes_encode(0xa09b), 0xa9b); /* 64-bit code */
	CHECK_EQ(attributes_encode(0xc093), 0xc93); /* flat data */
	CHECK_EQ(attributes_encode(0x008b), 0x08b); /* busy TSS */
	CHECK_EQ(attributes_decode(0xa9b), 0xa09b);
	CHECK_EQ(attributes_decode(0x082), 0x0082);
	/* Unusable is "not present". */
	CHECK_EQ(attributes_encode(SEG_UNUSABLE | 0xc093), 0xc13);
	CHECK_EQ(attributes_decode(0xc13), SEG_UNUSABLE | 0xc013);
	CHECK_EQ(attributes_decode(0), SEG_UNUSABLE);
}

TEST(attributes_and_back)
{
	for (uint32_t a = 0; a <= 0xfff; a++) {
		CHECK_EQ(attributes_encode(attributes_decode((uint16_t)a)), a);
	}
}

/* --- bitmaps --- */

TEST(io_bitmap)
{
	static uint8_t map[IO_BITMAP_BYTES];
	static struct config_guest g = {.ports = 3,
					.port = {{.base = 0x80, .size = 1},
						 {.base = 0x3f8, .size = 8},
						 {.base = 0xffff, .size = 1}}};

	memset(map, 0xff, sizeof(map));
	io_bitmap_open(map, &g);
	for (unsigned port = 0; port < 65536; port++) {
		bool open = port == 0x80 || (port >= 0x3f8 && port < 0x400) || port == 0xffff;

		CHECK_EQ(map[port / 8] >> port % 8 & 1, !open);
	}
}

/* --- instruction length --- */

static unsigned length_of(const char *bytes, unsigned n, unsigned opcode)
{
	return insn_length((const uint8_t *)bytes, n, opcode);
}

TEST(insn_length)
{
	CHECK_EQ(length_of("\x0f\xa2", 2, 2), 2);
	CHECK_EQ(length_of("\xf4", 1, 1), 1);
	CHECK_EQ(length_of("\x66\xf3\x48\x0f\x30", 5, 2), 5);
	CHECK_EQ(length_of("\x0f", 1, 3),
		 3); /* VMMCALL that crosses a page: known by its first byte */
	/* 15 bytes are the most; one more would be #GP, not an exit. */
	CHECK_EQ(length_of("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x0f\xa2", 15, 2),
		 15);
	CHECK_EQ(length_of("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x0f", 15, 2),
		 0);
	CHECK_EQ(length_of("\x66\x66", 2, 2), 0); /* the page ends inside the prefixes */
	CHECK_EQ(length_of("", 0, 2), 0);
}
