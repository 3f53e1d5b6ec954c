/*
 * The loader's words: lines on the firmware's consoles (screen, and serial where the firmware has
 * it so), and its status codes in English. Called by all of boot/efi/; no state.
 */
#include "boot/efi/loader.h"
#include "hv/lib/printf.h"
#include "hv/lib/string.h"

static void put(const char *text, size_t len)
{
	CHAR16 wide[2] = {0};
	SIMPLE_TEXT_OUTPUT_INTERFACE *out = firmware.table->ConOut;

	for (size_t i = 0; out && i < len; i++) {
		wide[0] = text[i] > 0 ? (CHAR16)text[i] : '?';
		out->OutputString(out, wide);
	}
}

/* Columns of the screen; 80 where the firmware does not tell. */
static size_t columns(void)
{
	SIMPLE_TEXT_OUTPUT_INTERFACE *out = firmware.table->ConOut;
	UINTN wide = 0, high = 0;

	if (!out || !out->Mode || out->Mode->Mode < 0 ||
	    EFI_ERROR(out->QueryMode(out, (UINTN)out->Mode->Mode, &wide, &high)) || wide < 20) {
		return 80;
	}
	return wide;
}

/* How much of the text goes on a line that has room for `most` characters. */
static size_t line_length(const char *text, size_t most)
{
	size_t len = strlen(text), at = most;

	if (len <= most) {
		return len;
	}
	while (at && text[at] != ' ') {
		at--;
	}
	return at ? at : most;
}

void say(const char *fmt, ...)
{
	char text[512];
	const char *rest = text;
	size_t most = columns() - 1;
	va_list ap;

	va_start(ap, fmt);
	fmt_vprint(text, sizeof(text), fmt, ap);
	va_end(ap);
	do {
		size_t n = line_length(rest, most);

		put(rest, n);
		put("\r\n", 2);
		rest += n;
		while (*rest == ' ') {
			rest++;
		}
	} while (*rest);
}

void say_refusal(const char *text, unsigned seconds)
{
	EFI_BOOT_SERVICES *boot = firmware.boot;
	SIMPLE_INPUT_INTERFACE *in = firmware.table->ConIn;
	EFI_EVENT event[2];
	UINTN which;

	if (in) {
		in->Reset(in, FALSE);
	}
	say("mullion: refused: %s", text);
	say("mullion: press a key, or wait %u seconds, to go back to the firmware", seconds);
	if (EFI_ERROR(boot->CreateEvent(EVT_TIMER, 0, NULL, NULL, &event[0]))) {
		return;
	}
	boot->SetTimer(event[0], TimerRelative, seconds * 10000000ull);
	event[1] = in ? in->WaitForKey : event[0];
	boot->WaitForEvent(in ? 2 : 1, event, &which);
	boot->CloseEvent(event[0]);
}

/* UEFI specification, "Status Codes". */
static const struct {
	EFI_STATUS status;
	const char *words;
} known[] = {
	{EFI_LOAD_ERROR, "the firmware could not load it (EFI_LOAD_ERROR)"},
	{EFI_INVALID_PARAMETER,
	 "the firmware takes no such name or argument (EFI_INVALID_PARAMETER)"},
	{EFI_UNSUPPORTED, "the firmware cannot do that (EFI_UNSUPPORTED)"},
	{EFI_BAD_BUFFER_SIZE, "the size is wrong (EFI_BAD_BUFFER_SIZE)"},
	{EFI_BUFFER_TOO_SMALL, "its name is too long (EFI_BUFFER_TOO_SMALL)"},
	{EFI_NOT_READY, "the device is not ready (EFI_NOT_READY)"},
	{EFI_DEVICE_ERROR, "the device reports an error (EFI_DEVICE_ERROR)"},
	{EFI_OUT_OF_RESOURCES, "the firmware is out of memory (EFI_OUT_OF_RESOURCES)"},
	{EFI_VOLUME_CORRUPTED, "the file system is damaged (EFI_VOLUME_CORRUPTED)"},
	{EFI_NO_MEDIA, "the medium is gone (EFI_NO_MEDIA)"},
	{EFI_MEDIA_CHANGED, "the medium was changed (EFI_MEDIA_CHANGED)"},
	{EFI_NOT_FOUND, "not found (EFI_NOT_FOUND)"},
	{EFI_ACCESS_DENIED, "the firmware denies access (EFI_ACCESS_DENIED)"},
	{EFI_TIMEOUT, "the device does not answer (EFI_TIMEOUT)"},
	{EFI_SECURITY_VIOLATION, "Secure Boot forbids it (EFI_SECURITY_VIOLATION)"},
};

const char *status_words(struct status_text *t, EFI_STATUS status)
{
	for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
		if (known[i].status == status) {
			return known[i].words;
		}
	}
	fmt_print(t->text, sizeof(t->text), "firmware status 0x%lx", status);
	return t->text;
}
