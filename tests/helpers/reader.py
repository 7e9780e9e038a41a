"""What a reader of the page does in a browser: windows of some sizes, and a choice of what is shown."""

DESKTOP, PHONE, PAPER = (1280, 800), (390, 844), (688, 1000)
"""Width and height in pixels."""


def choose(driver, selector: str, checked: bool = False) -> None:
    """Click the boxes of the choice that are not as wanted."""
    for box in driver.find_elements("css selector", f".choice {selector}"):
        if box.is_selected() != checked:
            driver.execute_script("arguments[0].click()", box)
