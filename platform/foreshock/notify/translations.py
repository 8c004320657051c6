"""Words of the built-in templates, by language."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["TRANSLATIONS"]

TRANSLATIONS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "info": "info", "warning": "warning", "critical": "critical", "test": "TEST",
        "test_note": "This is a test: nothing has happened.", "level": "Severity", "service": "Where",
        "since": "Since", "until": "Until", "assignee": "Handled by", "causes": "Probable root causes",
        "note": "Note", "action": "What to do", "open": "Open the incident", "ack": "Acknowledge",
        "silence": "Silence", "paged": "New incident", "escalated": "Not acknowledged yet",
        "acknowledged": "Acknowledged", "resolved": "Resolved", "reopened": "Open again", "joined": "More alerts",
        "digest": "Summary", "shift": "Your shift", "message": "Message", "commented": "Comment",
        "look": "look at the first of the causes", "nobody": "Nobody is on call",
    },
    "de": {
        "info": "Hinweis", "warning": "Warnung", "critical": "kritisch", "test": "TEST",
        "test_note": "Dies ist ein Test: es ist nichts geschehen.", "level": "Schweregrad", "service": "Wo",
        "since": "Seit", "until": "Bis", "assignee": "Bearbeitet von", "causes": "Wahrscheinliche Ursachen",
        "note": "Anmerkung", "action": "Was zu tun ist", "open": "Vorfall öffnen", "ack": "Bestätigen",
        "silence": "Stummschalten", "paged": "Neuer Vorfall", "escalated": "Noch nicht bestätigt",
        "acknowledged": "Bestätigt", "resolved": "Behoben", "reopened": "Wieder offen", "joined": "Weitere Alarme",
        "digest": "Zusammenfassung", "shift": "Ihre Schicht", "message": "Nachricht", "commented": "Kommentar",
        "look": "die erste der Ursachen ansehen", "nobody": "Niemand hat Bereitschaft",
    },
    "fr": {
        "info": "information", "warning": "avertissement", "critical": "critique", "test": "TEST",
        "test_note": "Ceci est un test : rien ne s'est passé.", "level": "Gravité", "service": "Où",
        "since": "Depuis", "until": "Jusqu'à", "assignee": "Pris en charge par", "causes": "Causes probables",
        "note": "Remarque", "action": "Que faire", "open": "Ouvrir l'incident", "ack": "Acquitter",
        "silence": "Mettre en silence", "paged": "Nouvel incident", "escalated": "Pas encore acquitté",
        "acknowledged": "Acquitté", "resolved": "Résolu", "reopened": "Rouvert", "joined": "Autres alertes",
        "digest": "Résumé", "shift": "Votre astreinte", "message": "Message", "commented": "Commentaire",
        "look": "regarder la première des causes", "nobody": "Personne n'est d'astreinte",
    },
}  # fmt: skip
