/*
 * Pure parts of arch/x86_64: windows on VMX, lengths of instructions and codes of events.
 */
#include "arch/x86_64/event_code.h"
#include "arch/x86_64/svm/insn_length.h"
#include "arch/x86_64/vmx/controls.h"
#include "test.h"

TEST(an_nmi_window_in_the_shadow_of_sti_is_an_interrupt_window)
{
	const uint32_t base = PRIMARY_HLT, both = PRIMARY_INTR_WINDOW | PRIMARY_NMI_WINDOW;

	CHECK_EQ(windows_primary(base | both, false, false, false), base);
	CHECK_EQ(windows_primary(base, true, false, false), base | PRIMARY_INTR_WINDOW);
	CHECK_EQ(windows_primary(base, false, true, false), base | PRIMARY_NMI_WINDOW);
	CHECK_EQ(windows_primary(base, false, true, true), base | PRIMARY_INTR_WINDOW);
	CHECK_EQ(windows_primary(base, true, true, true), base | PRIMARY_INTR_WINDOW);
	CHECK_EQ(windows_primary(base, true, true, false), base | both);
}

TEST(an_intercepted_instruction_is_as_long_as_its_prefixes_and_opcode)
{
	static const uint8_t cpuid[] = {0x66, 0x48, 0x0f, 0xa2}, int1[] = {0xf3, 0xf1};
	static const uint8_t hlt[] = {0xf4}, prefixes[15] = {[0 ... 14] = 0x66};

	CHECK_EQ(insn_length(cpuid, sizeof(cpuid), 2), 4);
	CHECK_EQ(insn_length(int1, sizeof(int1), 1), 2);
	CHECK_EQ(insn_length(hlt, sizeof(hlt), 1), 1);
	CHECK_EQ(insn_length(prefixes, sizeof(prefixes), 1), 0);
	CHECK_EQ(insn_length(cpuid, 2, 2), 0); /* the rest is on a page that cannot be read */
}

TEST(an_event_comes_back_as_it_was_encoded)
{
	const struct event pf = {
		.valid = true, .type = EVENT_EXC, .vector = EXC_PF, .has_error = true, .error = 6};
	struct event e;

	CHECK_EQ(event_encode(&pf), 0x80000b0e);
	/* Bit 12 says "NMI unblocked by IRET" or nothing, and must not be injected. */
	event_decode(&e, event_encode(&pf) | 1 << 12, 6);
	CHECK_EQ(event_encode(&e), 0x80000b0e);
	CHECK_EQ(e.error, 6);
	event_decode(&e, 0x0e, 6);
	CHECK(!e.valid);
}
